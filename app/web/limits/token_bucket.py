"""Counts of this process alone: for each key a bucket of permits that fills up again. Under `web/limits/shared_rate`.

A look takes the same few microseconds however many keys there are, and waits for nothing, so that it may stand before
everything else. The keys used longest ago are forgotten when there are too many.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from limits import RateLimitItem, parse_many

#: Keys remembered at most for each rate.
MOST = 65_536


class TokenBucket:
    """The permits of one rate for any number of keys. Safe to share between threads and greenlets."""

    def __init__(self, rate: RateLimitItem, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        """A full bucket has `rate.amount` permits, and as many come back in the time of the rate."""
        self.rate = rate
        self._full = float(rate.amount)
        self._per_second = rate.amount / rate.get_expiry()
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        #: Permits, and when they were counted; the key used longest ago comes first.
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: str) -> float:
        """Take one permit. Returns 0, or after how many seconds there will be one."""
        with self._lock:
            left, now = self._count(key)
            if left < 1.0:
                self._keep(key, left, now)
                return (1.0 - left) / self._per_second
            self._keep(key, left - 1.0, now)
            return 0.0

    def peek(self, key: str) -> float:
        """Return 0 if there is a permit, or after how many seconds there will be one."""
        with self._lock:
            return max(1.0 - self._count(key)[0], 0.0) / self._per_second

    def bar(self, key: str, seconds: float) -> None:
        """Have no permit for so many seconds: somebody who sees more of the caller said so."""
        with self._lock:
            left, now = self._count(key)
            self._keep(key, min(left, 1.0 - seconds * self._per_second), now)

    def clear(self, key: str) -> None:
        """Forget what a key has taken."""
        with self._lock:
            self._kept.pop(key, None)

    def _count(self, key: str) -> tuple[float, float]:
        now = self._clock()
        left, at = self._kept.get(key, (self._full, now))
        return min(self._full, left + (now - at) * self._per_second), now

    def _keep(self, key: str, left: float, now: float) -> None:
        self._kept[key] = (left, now)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)


def make_buckets(rates: str, clock: Callable[[], float] = time.monotonic) -> list[TokenBucket]:
    """Return a bucket for each rate in a setting; none when it is empty."""
    return [TokenBucket(rate, clock) for rate in parse_many(rates)] if rates else []


def take_all(buckets: list[TokenBucket], key: str) -> float:
    """Take a permit of each, or of none. Returns 0, or after how many seconds all of them will have one."""
    if len(buckets) == 1:
        return buckets[0].take(key)
    wait = max([bucket.peek(key) for bucket in buckets], default=0.0)
    return wait or max([bucket.take(key) for bucket in buckets], default=0.0)
