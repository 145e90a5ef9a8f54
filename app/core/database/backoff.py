"""Waits between the attempts of a transaction: pauses that grow, with jitter, until a deadline."""

from __future__ import annotations

import random
import time


class Backoff:
    """The pauses of a caller that waits for a locked or absent database for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = 0.005

    @property
    def is_left(self) -> bool:
        """Whether the deadline is not reached."""
        return time.monotonic() < self._deadline

    def pause(self) -> bool:
        """Sleep and return True, or return False after the deadline."""
        if not self.is_left:
            return False
        time.sleep(self._pause * random.uniform(0.5, 1.5))
        self._pause = min(self._pause * 1.6, 0.25)
        return True
