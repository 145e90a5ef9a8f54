"""Collects the frames that cursors of one group are due, sends them, and records what slow clients did not take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.cursor import Cursor
from swallowtail.app.delivery.clients.live_states import LiveStates
from swallowtail.app.delivery.clients.masked_view import MaskedView
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.event_buffer import EventBuffer
from swallowtail.app.delivery.metrics import DELIVERED_DURABLE, DELIVERED_LIVE
from swallowtail.app.delivery.wire import Entry, Frame

#: Shortest and longest pause, in seconds, of a cursor whose client is slow and does not report when it can take more.
SHORTEST_PACE, LONGEST_PACE = 0.005, 0.25


class FrameSender:
    """The sending half of a client group. Not safe for threads: the stream has the lock."""

    def __init__(
        self, buffer: EventBuffer, live: LiveStates, backlog: int, transport: Transport, mask: MaskedView | None
    ) -> None:
        """`backlog`: most events that are sent at once. `mask`: what these clients see instead of everything."""
        self._buffer = buffer
        self._live = live
        self._backlog = backlog
        self._transport = transport
        self._mask = mask
        #: The cursor's position after each of the frames that the mask returned last.
        self._ends: list[int] = []
        #: When clients were last sent an event or a head.
        self.sent_at = time.monotonic()

    def collect(self, cursor: Cursor, entries: list[Entry]) -> tuple[list[Frame], list[Frame]]:
        """Return the durable and the live frames that a cursor is due, and move it past them."""
        if self._mask is None:
            durable = cursor.collect(entries, self._backlog)
        else:
            durable, self._ends = self._mask.collect(cursor, entries, self._backlog)
        return durable, self._live.collect(cursor, self._mask) if cursor.seq >= self._buffer.last else []

    def send(self, clients: Iterable[Client], durable: list[Frame], live: list[Frame]) -> Sequence[tuple[Client, int]]:
        """Send frames to clients; returns the clients that took fewer than all, with the number each took."""
        present = [client for client in clients if not client.closed]
        short = self._transport.send_to_all(present, durable + live)
        if durable:
            self.sent_at = time.monotonic()
            missed = sum(max(0, len(durable) - sent_count) for _, sent_count in short)
            DELIVERED_DURABLE.inc(len(durable) * len(present) - missed)
        if live:
            missed = sum(min(len(live), len(durable) + len(live) - sent_count) for _, sent_count in short)
            DELIVERED_LIVE.inc(len(live) * len(present) - missed)
        return short

    def advance_by(self, cursor: Cursor, sent_count: int, durable: int) -> Cursor:
        """Move a cursor past the frames that its client took out of `durable` and live ones, and pause it."""
        if self._mask is None:
            cursor.seq += min(sent_count, durable)
        elif sent_count and durable:
            cursor.seq = self._ends[min(sent_count, durable) - 1]
        cursor.stamp = self._live.stamp_after(cursor.stamp, sent_count - durable, self._mask)
        cursor.pace = SHORTEST_PACE
        return cursor
