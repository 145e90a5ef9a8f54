"""What one process keeps of messages that are not all there, and who has to go when it is too much. Under the road.

A client may send a large message in many pieces, and take its time. What has arrived of it is kept, so all clients have
one budget together; beyond it those that have sent the most of one message are cut off, until it is enough.
"""

from __future__ import annotations

import threading
from typing import Protocol

from prometheus_client import Counter, Gauge

BYTES = Gauge(
    "swallowtail_partial_bytes",
    "Bytes of messages of websocket clients that are not all there",
    multiprocess_mode="livesum",
)
CLOSED = Counter(
    "swallowtail_partial_closed_total", "Connections closed because their messages in pieces were too much"
)


class FragmentSender(Protocol):
    """A connection whose client sends a message in pieces."""

    def cut_off(self) -> None:
        """Keep nothing of it, and close."""


class IncomingBudget:
    """The budget of one process, in bytes. May be called from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[FragmentSender, int] = {}
        #: Bytes that are kept.
        self.used = 0
        self._lock = threading.RLock()

    def note(self, sender: FragmentSender, kept: int) -> None:
        """Take to the books how many bytes are kept of a client now. It may end connections."""
        if not kept and sender not in self._kept:
            return
        with self._lock:
            self.used += kept - self._kept.pop(sender, 0)
            if kept:
                self._kept[sender] = kept
        while self.used > self._most and (largest := self._take_largest()) is not None:
            CLOSED.inc()
            largest.cut_off()

    def measure(self) -> None:
        """Show how much there is."""
        BYTES.set(self.used)

    def _take_largest(self) -> FragmentSender | None:
        with self._lock:
            largest = max(self._kept, key=self._kept.__getitem__, default=None)
            if largest is not None:
                self.used -= self._kept.pop(largest)
            return largest
