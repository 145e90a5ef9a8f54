"""What waits in one process for all its websockets together, and who has to go when it is too much. Under the road.

What many clients wait for is one object, and counts once. A process that is over its budget closes the connections that
have taken nothing for the longest, one after another, until it is below: their clients come back and go on where they
were, or with a snapshot.
"""

from __future__ import annotations

from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge

log = structlog.get_logger(__name__)

BYTES = Gauge(
    "swallowtail_outbound_bytes",
    "Bytes that wait for websockets that do not take them, each message once",
    multiprocess_mode="livesum",
)
CLOSED = Counter("swallowtail_outbound_closed_total", "Connections closed because too much waited", ["why"])
OVER_BUDGET, OWN_QUEUE = CLOSED.labels("budget"), CLOSED.labels("queue")

Piece = bytes | memoryview


class Waiting(Protocol):
    """A connection that something waits for."""

    def lose(self) -> None:
        """Close at once, and let go of all that waits."""


class Outbound:
    """The budget of one process, in bytes. Everything is called from the thread of its reactor."""

    def __init__(self, most: int) -> None:
        self._most = most
        #: Bytes that wait.
        self.used = 0
        #: By the id of an object, which lives as long as it is held: how many wait for it.
        self._holders: dict[int, int] = {}
        #: Who waits, the one first that has taken nothing for the longest.
        self._line: dict[Waiting, None] = {}

    def __len__(self) -> int:
        return len(self._line)

    def hold(self, piece: Piece) -> None:
        """Note that a connection waits for a piece."""
        whole = _whole(piece)
        holders = self._holders.get(id(whole), 0)
        self._holders[id(whole)] = holders + 1
        if not holders:
            self.used += len(whole)

    def release(self, piece: Piece) -> None:
        """Note that a connection waits for a piece no longer."""
        whole = _whole(piece)
        holders = self._holders[id(whole)] - 1
        if holders:
            self._holders[id(whole)] = holders
        else:
            del self._holders[id(whole)]
            self.used -= len(whole)

    def join(self, waiting: Waiting) -> None:
        """Let a connection stand at the end of the line, unless it stands in it."""
        self._line.setdefault(waiting, None)

    def moved(self, waiting: Waiting) -> None:
        """Note that a connection has taken something."""
        if waiting in self._line:
            del self._line[waiting]
            self._line[waiting] = None

    def leave(self, waiting: Waiting) -> None:
        """Note that nothing waits for a connection."""
        self._line.pop(waiting, None)

    def relieve(self) -> None:
        """Close connections, those that have taken nothing for the longest first, until what waits is in the budget."""
        closed = 0
        while self.used > self._most and self._line:
            slowest = next(iter(self._line))
            del self._line[slowest]
            slowest.lose()
            closed += 1
        if closed:
            OVER_BUDGET.inc(closed)
            log.warning("outbound_budget", closed=closed, waiting_bytes=self.used, limit=self._most)

    def measure(self) -> None:
        """Bring the gauge up to date."""
        BYTES.set(self.used)


def _whole(piece: Piece) -> bytes:
    """Return the object that a piece is a part of: it is kept whole as long as any part of it is."""
    if isinstance(piece, bytes):
        return piece
    whole = piece.obj
    assert isinstance(whole, bytes)
    return whole
