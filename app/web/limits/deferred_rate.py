"""Rates over all web processes for what waits for nobody: allowed here, settled with Redis later. Under `web/limits/limits`.

A use is decided by this process's own count at once. Once a key has used a twentieth of its rate, a thread tells Redis
and hears what all processes have used together; a key that is beyond its rate is barred here until it has room again.
So with P processes a rate is exceeded by P twentieths, and by what comes while Redis is asked. A Redis that is slow,
hangs or is away holds nobody up: what could not be settled is forgotten, and the process's own count decides alone.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog

from swallowtail.app.web.background.lazy_thread import LazyThread
from swallowtail.app.web.limits.shared_rate import RedisCounts
from swallowtail.app.web.limits.token_bucket import MOST, TokenBucket, make_buckets, take_all

log = structlog.get_logger(__name__)

#: Parts of a rate; so much of it is used before Redis is told.
PARTS = 20


class Settlement:
    """What is still to be settled with Redis, and the thread that does it. Begins with the first debt."""

    def __init__(self, counts: RedisCounts, period: float) -> None:
        """`period`: pause, in seconds, from one settling to the next."""
        self._counts = counts
        self._period = period
        self._due: dict[tuple[UnsettledUses, str], int] = {}
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = LazyThread("limits", self._run)

    def owe(self, tab: UnsettledUses, key: str, number: int) -> None:
        """Have uses told to Redis soon; returns at once."""
        with self._lock:
            self._due[tab, key] = self._due.get((tab, key), 0) + number
        self._thread.begin()
        self._woken.set()

    def settle(self) -> None:
        """Tell Redis, and bar whoever is beyond a rate."""
        with self._lock:
            due, self._due = self._due, {}
        for (tab, key), number in due.items():
            if wait := self._counts.add(tab.bucket.rate, f"{tab.name}:{key}", number):
                tab.bucket.bar(key, wait)

    def close(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._woken.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait()
            self._woken.clear()
            try:
                self.settle()
            except Exception:
                log.exception("settling_failed")
            self._stopping.wait(self._period)


class UnsettledUses:
    """The uses of one rate that Redis has not been told of. Safe to share between threads and greenlets."""

    def __init__(self, name: str, bucket: TokenBucket, settlement: Settlement, clock: Callable[[], float]) -> None:
        self.name = name
        self.bucket = bucket
        self._part = max(1, bucket.rate.amount // PARTS)
        self._settlement = settlement
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, int] = OrderedDict()
        self._until = 0.0

    def note(self, key: str) -> None:
        """Count a use that was allowed."""
        if self._part > 1 and self._add(key) < self._part:
            return
        self._settlement.owe(self, key, self._part)

    def _add(self, key: str) -> int:
        with self._lock:
            now = self._clock()
            if now >= self._until:
                # What is older than the time of the rate is nobody's debt any more.
                self._open.clear()
                self._until = now + self.bucket.rate.get_expiry()
            number = self._open.pop(key, 0) + 1
            if number < self._part:
                self._open[key] = number
                if len(self._open) > MOST:
                    self._open.popitem(last=False)
            return number


class DeferredRate:
    """One limit, which may be several rates at once, of which each process has its share."""

    def __init__(
        self,
        name: str,
        rates: str,
        settlement: Settlement | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` keeps its counts apart from those of other limits. Without a settlement it is this process's alone."""
        self._buckets = make_buckets(rates, clock)
        self._tabs = [UnsettledUses(name, bucket, settlement, clock) for bucket in self._buckets] if settlement else []

    def peek(self, key: str) -> float:
        """Return 0 if there is a permit, or after how many seconds there will be one."""
        return max([bucket.peek(key) for bucket in self._buckets], default=0.0)

    def take(self, key: str) -> float:
        """Count one use. Returns 0 when it is allowed, or after how many seconds to try again; waits for nothing."""
        wait = take_all(self._buckets, key)
        if not wait:
            for tab in self._tabs:
                tab.note(key)
        return wait

    def clear(self, key: str) -> None:
        """Forget what a key has used here."""
        for bucket in self._buckets:
            bucket.clear(key)
