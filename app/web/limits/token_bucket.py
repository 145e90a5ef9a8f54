"""Counts rates within one process: a token bucket for each key.

A check costs a few microseconds however many keys there are, and never blocks on I/O. The least recently used keys are
forgotten above a maximum.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from limits import RateLimitItem, parse_many

#: Most keys per rate.
MAX_KEYS = 65_536


class TokenBucket:
    """The buckets of one rate for any number of keys. Thread-safe."""

    def __init__(self, rate: RateLimitItem, clock: Callable[[], float] = time.monotonic) -> None:
        """A full bucket has `rate.amount` tokens, and refills within the period of the rate."""
        self.rate = rate
        self._capacity = float(rate.amount)
        self._per_second = rate.amount / rate.get_expiry()
        self._clock = clock
        self._lock = threading.Lock()
        #: Tokens, and when they were counted; the least recently used key comes first.
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def acquire(self, key: str) -> float:
        """Take one token. Returns 0, or after how many seconds there will be one."""
        with self._lock:
            level, now = self._refill(key)
            if level < 1.0:
                self._store(key, level, now)
                return (1.0 - level) / self._per_second
            self._store(key, level - 1.0, now)
            return 0.0

    def peek(self, key: str) -> float:
        """Return 0 if there is a token, or after how many seconds there will be one."""
        with self._lock:
            return max(1.0 - self._refill(key)[0], 0.0) / self._per_second

    def block(self, key: str, seconds: float) -> None:
        """Have no token for so many seconds, because all processes together are above the rate."""
        with self._lock:
            level, now = self._refill(key)
            self._store(key, min(level, 1.0 - seconds * self._per_second), now)

    def clear(self, key: str) -> None:
        """Forget what a key has used."""
        with self._lock:
            self._levels.pop(key, None)

    def _refill(self, key: str) -> tuple[float, float]:
        now = self._clock()
        level, at = self._levels.get(key, (self._capacity, now))
        return min(self._capacity, level + (now - at) * self._per_second), now

    def _store(self, key: str, level: float, now: float) -> None:
        self._levels[key] = (level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > MAX_KEYS:
            self._levels.popitem(last=False)


def make_buckets(rates: str, clock: Callable[[], float] = time.monotonic) -> list[TokenBucket]:
    """Return a bucket for each rate of a setting; none when it is empty."""
    return [TokenBucket(rate, clock) for rate in parse_many(rates)] if rates else []


def acquire_all(buckets: list[TokenBucket], key: str) -> float:
    """Take a token of each bucket, or of none. Returns 0, or after how many seconds all of them will have one."""
    if len(buckets) == 1:
        return buckets[0].acquire(key)
    wait = max([bucket.peek(key) for bucket in buckets], default=0.0)
    return wait or max([bucket.acquire(key) for bucket in buckets], default=0.0)
