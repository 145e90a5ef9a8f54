"""Stops calls to a service for a moment after a failure, so that callers do not wait for its timeouts one by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Open for `seconds` after a failure; then one caller tries the service. Thread-safe."""

    def __init__(self, seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._closed_at = 0.0
        #: Whether the latest call failed.
        self.has_failed = False

    def allows(self) -> bool:
        """Return whether the caller may call the service now."""
        if not self.has_failed:
            return True
        with self._lock:
            now = self._clock()
            if now < self._closed_at:
                return False
            # This caller tries the service; the others do not wait for it.
            self._closed_at = now + self._seconds
            return True

    @property
    def retry_at(self) -> float:
        """When the next caller may call the service, by the clock; 0 while it works."""
        return self._closed_at if self.has_failed else 0.0

    def record_failure(self) -> bool:
        """Open the circuit. Returns whether this is the first failure after a success."""
        with self._lock:
            is_first, self.has_failed = not self.has_failed, True
            self._closed_at = self._clock() + self._seconds
        return is_first

    def record_success(self) -> None:
        """Close the circuit."""
        self.has_failed = False
