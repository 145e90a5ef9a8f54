"""One rate limit over all web processes: first this process's own count, then the one in Redis. Under `web/limits/limits`.

Redis may be away or hang. Whoever asks it waits for `limit_timeout` at most; then it is left alone for a while, and the
process's own count decides. So the limit of an outage is that of one process, never none and never nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import redis
import structlog
from limits import RateLimitItem
from limits.storage import RedisStorage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.publisher import connect
from swallowtail.app.core.process.circuit_breaker import CircuitBreaker
from swallowtail.app.web.limits.token_bucket import TokenBucket, make_buckets, take_all

log = structlog.get_logger(__name__)

#: Shortest pause that is asked for: by then a count has moved.
SHORTEST = 0.05

#: How uses are remembered: each with its moment, by how many there were in this window and the last, or in this alone.
Manner = Literal["exact", "weighed", "plain"]


class RedisCounts:
    """The counts that web processes share. Connects at its first use."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._breaker = CircuitBreaker(clock=clock)
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._strategies: dict[Manner, RateLimiter] = {}

    @property
    def is_away(self) -> bool:
        """Whether Redis failed when it was last asked."""
        return self._breaker.has_failed

    def hit(self, rate: RateLimitItem, key: str, *, exact: bool) -> float | None:
        """Count one use. Returns 0, after how many seconds to try again, or None when Redis cannot tell.

        `exact` remembers the moment of every use, and not only how many there were in this window and the last.
        """

        def ask() -> float:
            strategy = self._strategy("exact" if exact else "weighed")
            return 0.0 if strategy.hit(rate, key) else _read_wait(strategy, rate, key)

        return self._attempt(ask)

    def add(self, rate: RateLimitItem, key: str, number: int) -> float | None:
        """Count uses that have been allowed. Returns 0 when there is room for more, else what `hit` returns.

        They are counted in windows that follow each other, since the other ways do not count what is too much.
        """

        def ask() -> float:
            strategy = self._strategy("plain")
            has_room = strategy.hit(rate, key, cost=number) and strategy.test(rate, key)
            return 0.0 if has_room else _read_wait(strategy, rate, key)

        return self._attempt(ask)

    def clear(self, rate: RateLimitItem, key: str, *, exact: bool) -> None:
        """Forget what a key has used."""
        if not self._breaker.allows():
            return
        try:
            self._strategy("exact" if exact else "weighed").clear(rate, key)
        except (redis.RedisError, OSError) as fault:
            self._record_failure(fault)

    def close(self) -> None:
        """Close the connections to Redis."""
        if self._client is not None:
            self._client.close()

    def _attempt(self, ask: Callable[[], float]) -> float | None:
        if not self._breaker.allows():
            return None
        try:
            wait = ask()
        except (redis.RedisError, OSError) as fault:
            self._record_failure(fault)
            return None
        self._breaker.record_success()
        return wait

    def _record_failure(self, fault: Exception) -> None:
        if self._breaker.record_failure():
            log.warning("limits_without_redis", reason=str(fault))

    def _strategy(self, manner: Manner) -> RateLimiter:
        with self._lock:
            if self._client is None:
                self._client = connect(self._settings, timeout=self._settings.limit_timeout)
                prefix = f"{self._settings.channel_prefix}:limit"
                storage = RedisStorage("redis://", connection_pool=self._client.connection_pool, key_prefix=prefix)
                self._strategies = {
                    "exact": MovingWindowRateLimiter(storage),
                    "weighed": SlidingWindowCounterRateLimiter(storage),
                    "plain": FixedWindowRateLimiter(storage),
                }
            return self._strategies[manner]


class SharedRate:
    """One limit, which may be several rates at once: `5/minute;20/hour`."""

    def __init__(
        self,
        name: str,
        rates: str,
        counts: RedisCounts,
        *,
        exact: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` keeps its counts apart from those of other limits; `exact` is for `RedisCounts.hit`."""
        self._name = name
        self._counts = counts
        self._exact = exact
        self._buckets = make_buckets(rates, clock)

    def take(self, key: str) -> float:
        """Count one use. Returns 0 when it is allowed, or after how many seconds to try again."""
        # What this process knows to be too much is refused without asking anybody.
        return take_all(self._buckets, key) or max([self._ask(bucket, key) for bucket in self._buckets], default=0.0)

    def clear(self, key: str) -> None:
        """Forget what a key has used."""
        for bucket in self._buckets:
            bucket.clear(key)
            self._counts.clear(bucket.rate, f"{self._name}:{key}", exact=self._exact)

    def _ask(self, bucket: TokenBucket, key: str) -> float:
        wait = self._counts.hit(bucket.rate, f"{self._name}:{key}", exact=self._exact) or 0.0
        if wait:
            bucket.bar(key, wait)
        return wait


def _read_wait(strategy: RateLimiter, rate: RateLimitItem, key: str) -> float:
    # The clock of the counts is that of the day.
    return max(strategy.get_window_stats(rate, key).reset_time - time.time(), SHORTEST)
