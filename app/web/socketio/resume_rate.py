"""Limits how many clients resume per second, and gives the others a time at which to reconnect.

After a restart thousands of clients resume at the same moment. Each one is cheap; all of them together would delay
every other client. A client without a position is not delayed, because it may not know the `retry_after_ms` answer.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

#: Seconds whose share of resumptions may start at once.
BURST = 1.0
#: Longest delay, in seconds.
MAX_DELAY = 60.0


class ResumeRate:
    """Allows `rate` resumptions per second. Thread-safe."""

    def __init__(self, rate: int) -> None:
        self._step = 1 / rate
        self._lock = threading.Lock()
        #: Until when the started resumptions use up the rate.
        self._used_until = 0.0
        #: The latest time that a client got.
        self._latest = 0.0

    def acquire(self, now: float | None = None) -> float:
        """Return 0 when a resumption may start, or after how many seconds to try again."""
        now = time.monotonic() if now is None else now
        with self._lock:
            free = max(self._used_until, now) - BURST
            if free <= now:
                self._used_until = max(self._used_until, now) + self._step
                return 0.0
            self._latest = max(self._latest, free) + self._step
            return min(self._latest - now, MAX_DELAY)


def spread_reconnects(count: int, rate: int) -> Iterator[float]:
    """Yield a reconnection delay in seconds for each of `count` clients, so that about `rate` reconnect per second."""
    window = min(count / rate, MAX_DELAY)
    return (random.uniform(0.0, window) for _ in range(count))
