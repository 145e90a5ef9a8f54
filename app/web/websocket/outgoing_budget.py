"""What waits in one process for all its clients together, and who has to go when it is too much. Under the road.

What many clients wait for is one object, and counts once. A process that is over its budget closes the connections that
have taken nothing for the longest, one after another, until it is below: their clients come back and go on where they
were, or with a snapshot. It counts what waits for websockets, in the queues of clients that poll, and of answers that
are being written.
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
    "Bytes that wait for clients that do not take them, each message once",
    multiprocess_mode="livesum",
)
CLOSED = Counter("swallowtail_outbound_closed_total", "Connections closed because too much waited", ["why"])
OVER_BUDGET, OWN_QUEUE = CLOSED.labels("budget"), CLOSED.labels("queue")

Piece = bytes | memoryview
#: What waits in a queue may be text too, which is counted by its characters.
Queued = Piece | str


class SlowReceiver(Protocol):
    """A connection that something waits for."""

    def lose(self) -> None:
        """Close at once, and let go of all that waits. Waits for nobody."""


class OutgoingBudget:
    """The budget of one process, in bytes. May be called from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        #: Bytes that wait.
        self.used = 0
        #: By the id of an object, which lives as long as it is held: how many wait for it.
        self._holders: dict[int, int] = {}
        #: Who waits, the one first that has taken nothing for the longest.
        self._line: dict[SlowReceiver, None] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._line)

    def hold(self, piece: Queued) -> None:
        """Note that a connection waits for a piece."""
        whole = _whole(piece)
        with self._lock:
            holders = self._holders.get(id(whole), 0)
            self._holders[id(whole)] = holders + 1
            if not holders:
                self.used += len(whole)

    def release(self, piece: Queued) -> None:
        """Note that a connection waits for a piece no longer. One that nobody waits for is no error."""
        whole = _whole(piece)
        with self._lock:
            holders = self._holders.pop(id(whole), 0) - 1
            if holders > 0:
                self._holders[id(whole)] = holders
            elif holders == 0:
                self.used -= len(whole)

    def join(self, waiting: SlowReceiver) -> None:
        """Let a connection stand at the end of the line, unless it stands in it."""
        with self._lock:
            self._line.setdefault(waiting, None)

    def moved(self, waiting: SlowReceiver) -> None:
        """Note that a connection has taken something."""
        with self._lock:
            if waiting in self._line:
                del self._line[waiting]
                self._line[waiting] = None

    def leave(self, waiting: SlowReceiver) -> None:
        """Note that nothing waits for a connection."""
        with self._lock:
            self._line.pop(waiting, None)

    def relieve(self) -> None:
        """Close connections, those that have taken nothing for the longest first, until what waits is in the budget."""
        closed = 0
        while self.used > self._most and (slowest := self._take_slowest()) is not None:
            # Not under the lock: it tells others that it is gone, who may wait for one another.
            slowest.lose()
            closed += 1
        if closed:
            OVER_BUDGET.inc(closed)
            log.warning("outbound_budget", closed=closed, waiting_bytes=self.used, limit=self._most)

    def measure(self) -> None:
        """Bring the gauge up to date."""
        BYTES.set(self.used)

    def _take_slowest(self) -> SlowReceiver | None:
        with self._lock:
            slowest = next(iter(self._line), None)
            if slowest is not None:
                del self._line[slowest]
            return slowest


class QueuedWrite:
    """One thing that is being written for a client, in the budget until it is written or given up."""

    def __init__(self, outbound: OutgoingBudget, waiting: SlowReceiver) -> None:
        self._outbound = outbound
        self._waiting = waiting
        self._pieces: list[Queued] = []

    def begin(self, piece: Queued) -> None:
        """Count it. It may end connections, this one too."""
        self._outbound.hold(piece)
        self._pieces.append(piece)
        self._outbound.join(self._waiting)
        self._outbound.relieve()

    def end(self) -> None:
        """Count it no more. What is counted no more is no error."""
        self._outbound.leave(self._waiting)
        # Whoever writes and whoever gives up may come here at once.
        with suppress(IndexError):
            self._outbound.release(self._pieces.pop())


def _whole(piece: Queued) -> bytes | str:
    """Return the object that a piece is a part of: it is kept whole as long as any part of it is."""
    if not isinstance(piece, memoryview):
        return piece
    whole = piece.obj
    assert isinstance(whole, bytes)
    return whole
