"""Checks rates over all web processes: first this process's own token bucket, then the count in Redis.

A caller waits for Redis at most `limit_timeout`. For a moment after a failure, only the process's own bucket decides.
So during an outage of Redis each process limits alone; it neither allows nor refuses everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import redis
import structlog
from limits import RateLimitItem, strategies
from limits.storage import RedisStorage

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.circuit_breaker import CircuitBreaker
from swallowtail.app.core.redis.connection import connect
from swallowtail.app.web.limits.token_bucket import TokenBucket, acquire_all, make_buckets

log = structlog.get_logger(__name__)

#: Shortest pause, in seconds, that a refusal asks for: by then a count has changed.
MIN_WAIT = 0.05

#: How Redis remembers uses: each with its time, as numbers of this and the last window, or as this window's number.
Strategy = Literal["moving", "sliding", "fixed"]


class RedisCounts:
    """The counts that web processes share. Connects at its first use."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._breaker = CircuitBreaker(clock=clock)
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._strategies: dict[Strategy, strategies.RateLimiter] = {}

    def hit(self, rate: RateLimitItem, key: str, *, exact: bool) -> float:
        """Count one use. Returns 0, also when Redis is unavailable, or after how many seconds to try again.

        `exact` remembers the time of every use instead of the numbers of two windows.
        """

        def ask() -> float:
            strategy = self._strategy("moving" if exact else "sliding")
            return 0.0 if strategy.hit(rate, key) else _read_wait(strategy, rate, key)

        return self._attempt(ask)

    def add(self, rate: RateLimitItem, key: str, number: int) -> float:
        """Count uses that were allowed. Returns 0 when there is room for more, else what `hit` returns.

        It uses fixed windows, since the other strategies do not count uses above the limit.
        """

        def ask() -> float:
            strategy = self._strategy("fixed")
            has_room = strategy.hit(rate, key, cost=number) and strategy.test(rate, key)
            return 0.0 if has_room else _read_wait(strategy, rate, key)

        return self._attempt(ask)

    def clear(self, rate: RateLimitItem, key: str, *, exact: bool) -> None:
        """Forget what a key has used."""

        def ask() -> float:
            self._strategy("moving" if exact else "sliding").clear(rate, key)
            return 0.0

        self._attempt(ask)

    def close(self) -> None:
        """Close the connections to Redis."""
        if self._client is not None:
            self._client.close()

    def _attempt(self, ask: Callable[[], float]) -> float:
        if not self._breaker.allows():
            return 0.0
        try:
            wait = ask()
        except (redis.RedisError, OSError) as error:
            if self._breaker.record_failure():
                log.warning("limits_without_redis", reason=str(error))
            return 0.0
        self._breaker.record_success()
        return wait

    def _strategy(self, name: Strategy) -> strategies.RateLimiter:
        with self._lock:
            if self._client is None:
                self._client = connect(self._settings, timeout=self._settings.limit_timeout)
                prefix = f"{self._settings.channel_prefix}:limit"
                storage = RedisStorage("redis://", connection_pool=self._client.connection_pool, key_prefix=prefix)
                self._strategies = {
                    "moving": strategies.MovingWindowRateLimiter(storage),
                    "sliding": strategies.SlidingWindowCounterRateLimiter(storage),
                    "fixed": strategies.FixedWindowRateLimiter(storage),
                }
            return self._strategies[name]


class SharedRate:
    """One limit, which may have several rates (`5/minute;20/hour`)."""

    def __init__(
        self,
        name: str,
        rates: str,
        counts: RedisCounts,
        *,
        exact: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` separates its counts from those of other limits; for `exact` see `RedisCounts.hit`."""
        self._name = name
        self._counts = counts
        self._exact = exact
        self._buckets = make_buckets(rates, clock)

    def acquire(self, key: str) -> float:
        """Count one use. Returns 0 when it is allowed, or after how many seconds to try again."""
        # What is above this process's own limit needs no call of Redis.
        return acquire_all(self._buckets, key) or max([self._ask(bucket, key) for bucket in self._buckets], default=0.0)

    def clear(self, key: str) -> None:
        """Forget what a key has used."""
        for bucket in self._buckets:
            bucket.clear(key)
            self._counts.clear(bucket.rate, f"{self._name}:{key}", exact=self._exact)

    def _ask(self, bucket: TokenBucket, key: str) -> float:
        wait = self._counts.hit(bucket.rate, f"{self._name}:{key}", exact=self._exact)
        if wait:
            bucket.block(key, wait)
        return wait


def _read_wait(strategy: strategies.RateLimiter, rate: RateLimitItem, key: str) -> float:
    # The library uses wall-clock time.
    return max(strategy.get_window_stats(rate, key).reset_time - time.time(), MIN_WAIT)
