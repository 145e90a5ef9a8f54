"""The cursors of clients that do not have every event: which may be served, which must wait, which start again."""

from __future__ import annotations

from collections.abc import Iterable

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.cursor import Cursor
from swallowtail.app.delivery.clients.frame_sender import LONGEST_PACE, SHORTEST_PACE
from swallowtail.app.delivery.clients.live_states import LiveStates
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.event_buffer import EventBuffer
from swallowtail.app.delivery.metrics import BUFFER_MISSES, RESETS
from swallowtail.app.delivery.wire import RESET, Reason, reset_payload


class LaggingCursors:
    """One cursor per client of a group that lags. Not safe for threads: the stream has the lock."""

    def __init__(
        self, instance_id: str, buffer: EventBuffer, live: LiveStates, settings: Settings, transport: Transport
    ) -> None:
        self._instance_id = instance_id
        self._buffer = buffer
        self._live = live
        self._replay_limit = settings.replay_limit
        self._transport = transport
        self.by_client: dict[str, Cursor] = {}

    def __len__(self) -> int:
        return len(self.by_client)

    def remove(self, client: Client) -> None:
        """Remove a client's cursor, but not that of another connection with the same name."""
        cursor = self.by_client.get(client.id)
        if cursor is not None and cursor.client is client:
            del self.by_client[client.id]

    def lowest_position(self) -> int | None:
        """Return the lowest position that the buffer cannot serve and whose client takes messages."""
        return min((cursor.seq for cursor in self.unserved()), default=None)

    def unserved(self) -> list[Cursor]:
        """Return the cursors that the buffer cannot serve and whose clients take messages."""
        first = self._buffer.first
        unserved = [c for c in self.by_client.values() if c.seq + 1 < first and not c.pace and not c.client.closed]
        for cursor in unserved:
            if not cursor.missed:
                cursor.missed = True
                BUFFER_MISSES.labels("cursor").inc()
        return unserved

    def ready(self) -> Iterable[Cursor]:
        """Yield the cursors whose clients take messages; pause or reset the others."""
        for cursor in list(self.by_client.values()):
            if cursor.client.closed:
                continue
            if cursor.epoch != self._buffer.epoch:
                self.reset(cursor, "epoch", self._buffer.last)
            if not self._transport.is_ready(cursor.client):
                self._pause(cursor)
            else:
                cursor.pace = 0.0
                yield cursor

    def reset(self, cursor: Cursor, reason: Reason, seq: int) -> None:
        """Send a client `reset`. A client that does not know it at least gets everything after `seq`."""
        RESETS.labels(reason).inc()
        cursor.epoch, cursor.seq, cursor.stamp = self._buffer.epoch, seq, self._live.stamp
        frame = self._transport.frame(RESET, reset_payload(self._instance_id, reason))
        self._transport.send(cursor.client.id, [frame])

    def reset_between(self, after: int, before: int) -> None:
        """Reset the cursors that need an event above `after` and up to `before`, none of which is stored any more."""
        for cursor in list(self.by_client.values()):
            if after <= cursor.seq < before and cursor.seq + 1 < self._buffer.first:
                self.reset(cursor, "too_old", before)

    def reset_all(self, reason: Reason) -> None:
        """Reset every cursor to the end of the buffer."""
        for cursor in list(self.by_client.values()):
            self.reset(cursor, reason, self._buffer.last)

    def _pause(self, cursor: Cursor) -> None:
        cursor.pace = min(max(cursor.pace, SHORTEST_PACE) * 2, LONGEST_PACE)
        if self._buffer.last - cursor.seq > self._replay_limit:
            self.reset(cursor, "lag", self._buffer.last)
