"""Counts the open connections of each user over all web processes.

Each user has a hash in Redis: process id → number of connections. Each process renews a lease; the numbers of a process
without a lease no longer count, so the connections of a killed process are forgotten after `connection_lease`. One
thread talks to Redis, for many callers at once; a caller waits for it at most `limit_timeout`. While Redis is
unavailable no caller waits, and each process counts its own connections.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter as Tally
from concurrent.futures import Future
from contextlib import suppress

import redis
import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.circuit_breaker import CircuitBreaker
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.core.redis.connection import connect

log = structlog.get_logger(__name__)

#: Users in one message to Redis.
_BATCH = 200
#: Pause, in seconds, after a failure of Redis.
_RETRY_PAUSE = 1.0
#: A hash without writes for this long, in seconds, expires; each process writes all of its own twice in that time.
KEEP_SECONDS = 3600
#: Stores the number of this process, removes those of dead processes, and returns the sum of the others.
#: KEYS: the hash. ARGV: this process's id, the prefix of the processes' lease keys, its number, KEEP_SECONDS.
_STORE = """
local fields = redis.call('HGETALL', KEYS[1])
local others = 0
for i = 1, #fields, 2 do
  if fields[i] ~= ARGV[1] then
    if redis.call('EXISTS', ARGV[2] .. fields[i]) == 1 then
      others = others + tonumber(fields[i + 1])
    else
      redis.call('HDEL', KEYS[1], fields[i])
    end
  end
end
if ARGV[3] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return others
"""


class ConnectionQuota:
    """The connections of users in one process, and the numbers of other processes. Connects at its first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._id = secrets.token_hex(8)
        self._prefix = f"{settings.channel_prefix}:limit"
        self._open: Tally[str] = Tally()
        self._changed: set[str] = set()
        #: Callers that wait for the number of a user's connections in other processes.
        self._questions: dict[str, list[Future[int]]] = {}
        self._lock = threading.Lock()
        self._thread = PeriodicThread("connection_quota", self._synchronize_or_pause, settings.connection_lease / 3)
        self._client: redis.Redis | None = None
        self._next_lease = 0.0
        self._next_refresh = 0.0
        #: After a failure only the thread tries again.
        self._breaker = CircuitBreaker(_RETRY_PAUSE)

    def acquire(self, key: str, limit: int) -> bool:
        """Count one more connection of a user, unless there are `limit` already.

        Blocks on Redis for at most `limit_timeout`: the event loop must not call it.
        """
        with self._lock:
            if self._open[key] >= limit:
                return False
            self._open[key] += 1
            own = self._open[key]
        if own + self._ask(key) <= limit:
            return True
        self.release(key)
        return False

    def release(self, key: str) -> None:
        """Count one connection less. Never blocks on I/O."""
        with self._lock:
            if self._open[key] > 1:
                self._open[key] -= 1
            else:
                del self._open[key]
        self._mark_changed(key)

    def close(self) -> None:
        """End the thread and this process's lease, so that its numbers no longer count."""
        self._thread.stop(self._settings.limit_timeout * 2)
        client = self._client
        if client is not None:
            try:
                client.delete(self._lease_key(self._id))
            except (redis.RedisError, OSError) as error:
                log.debug("connection_quota_not_released", reason=str(error))
            client.close()

    def synchronize(self) -> None:
        """Write changed numbers to Redis, and answer the waiting callers. Raises RedisError, OSError."""
        now = time.monotonic()
        renews_lease = now >= self._next_lease
        with self._lock:
            if now >= self._next_refresh:
                self._next_refresh = now + KEEP_SECONDS / 2
                self._changed.update(self._open)
            keys = [self._changed.pop() for _ in range(min(_BATCH, len(self._changed)))]
            numbers = [self._open.get(key, 0) for key in keys]
            questions = [self._questions.pop(key, []) for key in keys]
            if self._changed:
                self._thread.wake()
        others = [0] * len(keys)
        try:
            others = self._write(keys, numbers, renews_lease=renews_lease)
        except Exception:
            with self._lock:
                self._changed.update(keys)
            raise
        finally:
            for waiting, number in zip(questions, others, strict=True):
                for question in waiting:
                    question.set_result(number)
        if renews_lease:
            self._next_lease = now + self._settings.connection_lease / 3

    def _ask(self, key: str) -> int:
        """Return how many connections a user has in other processes; 0 when Redis does not answer."""
        if self._breaker.has_failed:
            self._mark_changed(key)
            return 0
        question: Future[int] = Future()
        with self._lock:
            self._questions.setdefault(key, []).append(question)
        self._mark_changed(key)
        with suppress(TimeoutError):
            return question.result(self._settings.limit_timeout)
        return 0

    def _mark_changed(self, key: str) -> None:
        with self._lock:
            self._changed.add(key)
        self._thread.start()
        self._thread.wake()

    def _synchronize_or_pause(self) -> None:
        try:
            self.synchronize()
            self._breaker.record_success()
        except (redis.RedisError, OSError) as error:
            if self._breaker.record_failure():
                log.warning("connection_quota_without_redis", reason=str(error))
            self._thread.pause(_RETRY_PAUSE)
            self._thread.wake()

    def _write(self, keys: list[str], numbers: list[int], *, renews_lease: bool) -> list[int]:
        if self._client is None:
            self._client = connect(self._settings, timeout=self._settings.limit_timeout)
        lease, first = self._lease_key(self._id), 0
        with self._client.pipeline(transaction=False) as pipe:
            if renews_lease:
                pipe.exists(lease)
                pipe.set(lease, 1, px=int(self._settings.connection_lease * 1000))
                first = 2
            for key, number in zip(keys, numbers, strict=True):
                pipe.eval(_STORE, 1, f"{self._prefix}:open:{key}", self._id, self._lease_key(""), number, KEEP_SECONDS)
            replies = pipe.execute()
        if renews_lease and not replies[0]:
            # Redis does not know this process, or has forgotten it: write all of its numbers again.
            with self._lock:
                self._changed.update(self._open)
            self._thread.wake()
        return [int(reply) for reply in replies[first:]]

    def _lease_key(self, process: str) -> str:
        return f"{self._prefix}:process:{process}"
