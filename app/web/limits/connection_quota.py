"""How many connections each user has open, over all web processes. Under `web/limits/limits`.

In Redis each user has a hash: how many connections in which process. A process says every while that it lives; what one
that does not has noted counts no more, so that the connections of a killed process are forgotten after
`connection_lease`. One thread speaks with Redis, for everybody who comes at the same time at once; whoever wants a
connection waits for it `limit_timeout` at most. While Redis is away nobody waits, and each process counts its own.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter as Tally

import redis
import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.publisher import connect
from swallowtail.app.web.background.lazy_thread import LazyThread

log = structlog.get_logger(__name__)

#: Users that are asked about in one message to Redis.
AT_ONCE = 200
#: After a failure, Redis is not asked for this long, in seconds.
REST_SECONDS = 1.0
#: A hash that nobody has written to for this long, in seconds, goes by itself; each process writes again in half of it.
KEEP_SECONDS = 3600
#: Notes how many connections a process has, forgets those of dead ones, and returns those of the others.
#: KEYS: the hash. ARGV: this process, the beginning of the keys by which processes live, its number, KEEP_SECONDS.
_NOTE = """
local found = redis.call('HGETALL', KEYS[1])
local others = 0
for i = 1, #found, 2 do
  if found[i] ~= ARGV[1] then
    if redis.call('EXISTS', ARGV[2] .. found[i]) == 1 then
      others = others + tonumber(found[i + 1])
    else
      redis.call('HDEL', KEYS[1], found[i])
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


class _Question:
    """How many connections a user has in other processes; 0 until it is known."""

    __slots__ = ("answered", "others")

    def __init__(self) -> None:
        self.others = 0
        self.answered = threading.Event()


class ConnectionQuota:
    """The connections of users in one process, and what is known of those elsewhere. Connects at its first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._id = secrets.token_hex(8)
        self._prefix = f"{settings.channel_prefix}:limit"
        self._open: Tally[str] = Tally()
        self._changed: set[str] = set()
        self._questions: dict[str, list[_Question]] = {}
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = LazyThread("places", self._run)
        self._client: redis.Redis | None = None
        self._next_beat = 0.0
        self._next_round = 0.0
        self.is_away = False

    def take(self, key: str, most: int) -> bool:
        """Count one more connection of a user, if there are fewer than `most` of them.

        Waits for Redis, but no longer than `limit_timeout`: not to be called by whoever may wait for nothing.
        """
        with self._lock:
            if self._open[key] >= most:
                return False
            self._open[key] += 1
            mine = self._open[key]
        if mine + self._ask(key) <= most:
            return True
        self.give_back(key)
        return False

    def give_back(self, key: str) -> None:
        """Count one less; waits for nothing."""
        with self._lock:
            if self._open[key] > 1:
                self._open[key] -= 1
            else:
                del self._open[key]
        self._tell(key)

    def close(self) -> None:
        """End the thread, and say that what is noted of this process counts no more."""
        self._stopping.set()
        self._thread.end(self._woken.set, self._settings.limit_timeout * 2)
        client = self._client
        if client is not None:
            try:
                client.delete(self._alive(self._id))
            except (redis.RedisError, OSError) as fault:
                log.debug("places_left_behind", reason=str(fault))
            client.close()

    def settle(self) -> None:
        """Tell Redis what has changed, and answer who asked. Raises RedisError, OSError."""
        now = time.monotonic()
        is_beat = now >= self._next_beat
        with self._lock:
            if now >= self._next_round:
                self._next_round = now + KEEP_SECONDS / 2
                self._changed.update(self._open)
            keys = [self._changed.pop() for _ in range(min(AT_ONCE, len(self._changed)))]
            numbers = [self._open.get(key, 0) for key in keys]
            questions = [self._questions.pop(key, []) for key in keys]
            if self._changed:
                self._woken.set()
        others = [0] * len(keys)
        try:
            others = self._write(keys, numbers, is_beat=is_beat)
        except Exception:
            with self._lock:
                self._changed.update(keys)
            raise
        finally:
            for asked, number in zip(questions, others, strict=True):
                for question in asked:
                    question.others = number
                    question.answered.set()
        if is_beat:
            self._next_beat = now + self._settings.connection_lease / 3

    def _ask(self, key: str) -> int:
        """Return how many connections a user has in other processes, as far as Redis can tell."""
        if self.is_away:
            self._tell(key)
            return 0
        question = _Question()
        with self._lock:
            self._questions.setdefault(key, []).append(question)
        self._tell(key)
        question.answered.wait(self._settings.limit_timeout)
        return question.others

    def _tell(self, key: str) -> None:
        with self._lock:
            self._changed.add(key)
        self._thread.begin()
        self._woken.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(self._settings.connection_lease / 3)
            self._woken.clear()
            try:
                self.settle()
                self.is_away = False
            except (redis.RedisError, OSError) as fault:
                if not self.is_away:
                    log.warning("places_without_redis", reason=str(fault))
                self.is_away = True
                self._stopping.wait(REST_SECONDS)
                self._woken.set()
            except Exception:
                log.exception("places_failed")
                self._stopping.wait(REST_SECONDS)

    def _write(self, keys: list[str], numbers: list[int], *, is_beat: bool) -> list[int]:
        if self._client is None:
            self._client = connect(self._settings, timeout=self._settings.limit_timeout)
        alive, beats = self._alive(self._id), 0
        with self._client.pipeline(transaction=False) as pipe:
            if is_beat:
                pipe.exists(alive)
                pipe.set(alive, 1, px=int(self._settings.connection_lease * 1000))
                beats = 2
            for key, number in zip(keys, numbers, strict=True):
                pipe.eval(_NOTE, 1, f"{self._prefix}:open:{key}", self._id, self._alive(""), number, KEEP_SECONDS)
            answers = pipe.execute()
        if is_beat and not answers[0]:
            # Redis does not know this process, or no longer: it is told everything, before it is needed.
            with self._lock:
                self._changed.update(self._open)
            self._woken.set()
        return [int(answer) for answer in answers[beats:]]

    def _alive(self, process: str) -> str:
        return f"{self._prefix}:process:{process}"
