"""Checks rates without blocking: this process decides, and a thread reports the uses to Redis later.

The process's own token bucket decides at once. Once a key has used a twentieth of its rate, a thread adds that to the
count in Redis and reads what all processes have used together; a key above its rate is blocked here until it has room
again. So with P processes a rate is exceeded by at most P twentieths, plus what arrives while Redis is asked. When
Redis is slow or unavailable, uses that could not be reported are dropped, and each process limits alone.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.web.limits.shared_rate import RedisCounts
from swallowtail.app.web.limits.token_bucket import MAX_KEYS, TokenBucket, acquire_all, make_buckets

#: The thread runs when it is woken, and after this many seconds, when it has nothing to report.
IDLE_SECONDS = 3600.0
#: Uses are reported to Redis in this fraction of a rate.
FRACTION = 20


class UseReporter:
    """Reports uses to Redis in a thread, which starts with the first report."""

    def __init__(self, counts: RedisCounts, period: float) -> None:
        """`period`: pause, in seconds, between two reports."""
        self._counts = counts
        self._period = period
        self._due: dict[tuple[PendingUses, str], int] = {}
        self._lock = threading.Lock()
        self._thread = PeriodicThread("limits", self._report_and_pause, IDLE_SECONDS)

    def add(self, uses: PendingUses, key: str, number: int) -> None:
        """Have uses reported to Redis soon; returns at once."""
        with self._lock:
            self._due[uses, key] = self._due.get((uses, key), 0) + number
        self._thread.start()
        self._thread.wake()

    def report(self) -> None:
        """Report to Redis, and block the keys that are above their rate."""
        with self._lock:
            due, self._due = self._due, {}
        for (uses, key), number in due.items():
            if wait := self._counts.add(uses.bucket.rate, f"{uses.name}:{key}", number):
                uses.bucket.block(key, wait)

    def close(self) -> None:
        """End the thread."""
        self._thread.stop()

    def _report_and_pause(self) -> None:
        try:
            self.report()
        finally:
            self._thread.pause(self._period)


class PendingUses:
    """The uses of one rate that have not been reported to Redis. Thread-safe."""

    def __init__(self, name: str, bucket: TokenBucket, reporter: UseReporter, clock: Callable[[], float]) -> None:
        self.name = name
        self.bucket = bucket
        self._portion = max(1, bucket.rate.amount // FRACTION)
        self._reporter = reporter
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._until = 0.0

    def add(self, key: str) -> None:
        """Count a use that was allowed."""
        if self._portion > 1 and self._count(key) < self._portion:
            return
        self._reporter.add(self, key, self._portion)

    def _count(self, key: str) -> int:
        with self._lock:
            now = self._clock()
            if now >= self._until:
                # Uses older than the period of the rate no longer count.
                self._numbers.clear()
                self._until = now + self.bucket.rate.get_expiry()
            number = self._numbers.pop(key, 0) + 1
            if number < self._portion:
                self._numbers[key] = number
                if len(self._numbers) > MAX_KEYS:
                    self._numbers.popitem(last=False)
            return number


class DeferredRate:
    """One limit, which may have several rates (`5/minute;20/hour`)."""

    def __init__(
        self, name: str, rates: str, reporter: UseReporter | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`name` separates its counts from those of other limits. Without a reporter, only this process counts."""
        self._buckets = make_buckets(rates, clock)
        self._pending = [PendingUses(name, bucket, reporter, clock) for bucket in self._buckets] if reporter else []

    def peek(self, key: str) -> float:
        """Return 0 if a use is allowed, or after how many seconds it will be."""
        return max([bucket.peek(key) for bucket in self._buckets], default=0.0)

    def acquire(self, key: str) -> float:
        """Count one use. Returns 0 when it is allowed, or after how many seconds to try again. Never blocks on I/O."""
        wait = acquire_all(self._buckets, key)
        if not wait:
            for uses in self._pending:
                uses.add(key)
        return wait

    def clear(self, key: str) -> None:
        """Forget what a key has used in this process."""
        for bucket in self._buckets:
            bucket.clear(key)
