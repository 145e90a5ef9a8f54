"""Limits the memory that incomplete websocket messages take in one process.

A client may send a large message in many fragments, slowly. All clients share one budget for what has arrived; above
it, the connections with the largest incomplete messages are closed first.
"""

from __future__ import annotations

import threading
from typing import Protocol

from prometheus_client import Counter, Gauge

BYTES = Gauge(
    "swallowtail_partial_bytes", "Bytes of incomplete messages of websocket clients", multiprocess_mode="livesum"
)
CLOSED = Counter(
    "swallowtail_partial_closed_total", "Connections closed because incomplete messages took too much memory"
)


class FragmentSender(Protocol):
    """A connection whose client sends a message in fragments."""

    def close_oversized(self) -> None:
        """Drop the incomplete message, and close."""


class IncomingBudget:
    """The budget of one process, in bytes. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sizes: dict[FragmentSender, int] = {}
        #: Bytes in use.
        self.used = 0
        self._lock = threading.RLock()

    def set_size(self, sender: FragmentSender, size: int) -> None:
        """Record how many bytes a connection keeps now. Closes the largest connections above the limit."""
        if not size and sender not in self._sizes:
            return
        with self._lock:
            self.used += size - self._sizes.pop(sender, 0)
            if size:
                self._sizes[sender] = size
        while self.used > self._limit and (largest := self._pop_largest()) is not None:
            CLOSED.inc()
            largest.close_oversized()

    def _pop_largest(self) -> FragmentSender | None:
        with self._lock:
            largest = max(self._sizes, key=self._sizes.__getitem__, default=None)
            if largest is not None:
                self.used -= self._sizes.pop(largest)
            return largest
