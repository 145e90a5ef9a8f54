"""Limits the memory that messages and responses take in one process while they wait for their clients.

A message that waits for many clients is one object and counts once. Above its budget, a process closes the connections
that have made no progress for the longest time, until it is below; their clients reconnect and resume from their
position or from a snapshot. The budget covers websockets, the queues of polling clients, and responses being written.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge

log = structlog.get_logger(__name__)

BYTES = Gauge(
    "swallowtail_outbound_bytes",
    "Bytes that wait for slow clients; a shared message counts once",
    multiprocess_mode="livesum",
)
CLOSED = Counter("swallowtail_outbound_closed_total", "Connections closed because too much waited", ["why"])
OVER_BUDGET, OWN_QUEUE = CLOSED.labels("budget"), CLOSED.labels("queue")

Piece = bytes | memoryview
#: A queue may hold text too, which counts by its characters.
Queued = Piece | str


class SlowReceiver(Protocol):
    """A connection whose client has not taken everything yet."""

    def abort(self) -> None:
        """Close at once and drop what waits. Must not block."""


class OutgoingBudget:
    """The budget of one process, in bytes. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: Bytes that wait.
        self.used = 0
        #: How many connections wait for an object, by its id; an object lives while it is counted.
        self._holders: dict[int, int] = {}
        #: Connections with waiting bytes; the one without progress for the longest time comes first.
        self._receivers: dict[SlowReceiver, None] = {}
        self._lock = threading.RLock()

    def add(self, piece: Queued) -> None:
        """Count a piece that a connection waits to send."""
        whole = _whole(piece)
        with self._lock:
            holders = self._holders.get(id(whole), 0)
            self._holders[id(whole)] = holders + 1
            if not holders:
                self.used += len(whole)

    def remove(self, piece: Queued) -> None:
        """Stop counting a piece for one connection. A piece that is not counted is no error."""
        whole = _whole(piece)
        with self._lock:
            holders = self._holders.pop(id(whole), 0) - 1
            if holders > 0:
                self._holders[id(whole)] = holders
            elif holders == 0:
                self.used -= len(whole)

    def add_receiver(self, receiver: SlowReceiver) -> None:
        """Add a connection as the one with the latest progress, unless it is known."""
        with self._lock:
            self._receivers.setdefault(receiver, None)

    def mark_progress(self, receiver: SlowReceiver) -> None:
        """Record that a client has taken something."""
        with self._lock:
            if receiver in self._receivers:
                del self._receivers[receiver]
                self._receivers[receiver] = None

    def remove_receiver(self, receiver: SlowReceiver) -> None:
        """Forget a connection that nothing waits for."""
        with self._lock:
            self._receivers.pop(receiver, None)

    def enforce(self) -> None:
        """Close the slowest connections until the waiting bytes fit into the budget."""
        closed = 0
        while self.used > self._limit and (slowest := self._pop_slowest()) is not None:
            # Outside of the lock: `abort` calls others, who may take locks of their own.
            slowest.abort()
            closed += 1
        if closed:
            OVER_BUDGET.inc(closed)
            log.warning("outbound_budget", closed=closed, waiting_bytes=self.used, limit=self._limit)

    def _pop_slowest(self) -> SlowReceiver | None:
        with self._lock:
            slowest = next(iter(self._receivers), None)
            if slowest is not None:
                del self._receivers[slowest]
            return slowest


class QueuedWrite:
    """Counts one blocking write in the budget until it is written or aborted."""

    def __init__(self, budget: OutgoingBudget, receiver: SlowReceiver) -> None:
        self._budget = budget
        self._receiver = receiver
        self._pieces: list[Queued] = []

    def begin(self, piece: Queued) -> None:
        """Count a piece. The budget may abort connections, this one included."""
        self._budget.add(piece)
        self._pieces.append(piece)
        self._budget.add_receiver(self._receiver)
        self._budget.enforce()

    def end(self) -> None:
        """Stop counting the piece. Calling it twice is no error."""
        self._budget.remove_receiver(self._receiver)
        # The writer and an abort may arrive here at the same time.
        with suppress(IndexError):
            self._budget.remove(self._pieces.pop())


def _whole(piece: Queued) -> bytes | str:
    """Return the object behind a view: any part of it keeps all of it in memory."""
    if not isinstance(piece, memoryview):
        return piece
    whole = piece.obj
    assert isinstance(whole, bytes)
    return whole
