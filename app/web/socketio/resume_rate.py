"""How fast a crowd may come back: those who resume are let in at a rate, the rest get an appointment. Beside the road.

After a restart thousands of clients resume at the same moment. Each is cheap, all of them together would hold up
whoever else is here. Only those who resume are asked for patience: a client that gives no position may be one that
knows nothing of appointments.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

#: Seconds whose share may begin at once.
BURST = 1.0
#: Longest appointment, in seconds.
LONGEST = 60.0


class ResumeRate:
    """Lets `rate` resumptions begin each second. Safe for threads."""

    def __init__(self, rate: int) -> None:
        self._step = 1 / rate
        self._lock = threading.Lock()
        #: Until when what has begun uses up the rate.
        self._used_until = 0.0
        #: The latest appointment that was given.
        self._promised = 0.0

    def admit(self, now: float | None = None) -> float:
        """Return 0 when a resumption may begin, otherwise after how many seconds to ask again."""
        now = time.monotonic() if now is None else now
        with self._lock:
            free = max(self._used_until, now) - BURST
            if free <= now:
                self._used_until = max(self._used_until, now) + self._step
                return 0.0
            self._promised = max(self._promised, free) + self._step
            return min(self._promised - now, LONGEST)


def spread_reconnects(count: int, rate: int) -> Iterator[float]:
    """Yield for each of so many clients a moment to come back, in seconds from now, so that `rate` do in a second."""
    window = min(count / rate, LONGEST)
    return (random.uniform(0.0, window) for _ in range(count))
