"""Counts the connections that the WSGI server serves, and frees a place when the process is full."""

from __future__ import annotations

import threading

from swallowtail.app.web.accept.pending_connection import Address
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.limits.limits import Limits

#: Most connections that are shed and not closed yet. Each holds a descriptor until its handler returns.
MAX_SHED = 64


class ServedConnections:
    """The connections of one process from their dispatch to their end. Thread-safe."""

    def __init__(self, limits: Limits, deadlines: ReadDeadlines) -> None:
        self._limits = limits
        self._deadlines = deadlines
        self._dispatched = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many connections have a place; those that were shed have none."""
        return self._dispatched - self._deadlines.shed_count

    def add(self, address: Address, since: float) -> None:
        """Count a connection that was accepted at `since`, before it is dispatched."""
        self._deadlines.expect(address, since)
        with self._lock:
            self._dispatched += 1

    def remove(self, address: Address) -> None:
        """Release the place of a connection that has ended."""
        with self._lock:
            self._dispatched -= 1
        self._deadlines.forget(address)
        self._limits.release_socket(address[0])

    def shed(self) -> bool:
        """Cut the connection that has waited longest for its client; return whether there was one."""
        return self._deadlines.shed_count < MAX_SHED and self._deadlines.shed()
