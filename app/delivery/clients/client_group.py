"""Stop 11 of 12: Moves the cursors of clients with the same view of one instance, and sends them their events.

Clients that have everything are current and share one cursor: an event costs one encoding, and one write per client.
A client that cannot take a message lags behind with a cursor of its own, and is current again once it has caught up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.cursor import Cursor
from swallowtail.app.delivery.clients.frame_sender import FrameSender
from swallowtail.app.delivery.clients.lagging_cursors import LaggingCursors
from swallowtail.app.delivery.clients.live_states import LiveStates
from swallowtail.app.delivery.clients.masked_view import MaskedView
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.event_buffer import EventBuffer
from swallowtail.app.delivery.wire import HEAD, Entry, Reason, head_payload


class ClientGroup:
    """The current and the lagging clients of one view. Not safe for threads: the stream has the lock."""

    def __init__(
        self,
        instance_id: str,
        buffer: EventBuffer,
        live: LiveStates,
        settings: Settings,
        transport: Transport,
        mask: MaskedView | None = None,
    ) -> None:
        """`mask`: what these clients see instead of everything."""
        self._instance_id = instance_id
        self._buffer = buffer
        self._live = live
        self._backlog = settings.client_backlog
        self._head_interval = settings.head_interval
        self._transport = transport
        self._current: dict[str, Client] = {}
        #: Where all current clients stand; it belongs to no client.
        self._shared = Cursor(Client(""), buffer.epoch, buffer.last, live.stamp)
        self._lagging = LaggingCursors(instance_id, buffer, live, settings, transport)
        self._sender = FrameSender(buffer, live, self._backlog, transport, mask)
        # Bound once: every event calls them.
        self._collect, self._send = self._sender.collect, self._sender.send
        self.lowest_position = self._lagging.lowest_position

    def __len__(self) -> int:
        return len(self._current) + len(self._lagging)

    @property
    def lagging_count(self) -> int:
        """The number of clients that do not have everything."""
        return len(self._lagging)

    def admit(self, client: Client, seq: int, *, move: bool) -> None:
        """Give a client a cursor after `seq`; a cursor that it has already stays where it is unless `move` is set."""
        if not move and (client.id in self._current or client.id in self._lagging.by_client):
            return
        self._current.pop(client.id, None)
        self._settle(Cursor(client, self._buffer.epoch, seq, self._live.stamp))

    def remove(self, client: Client) -> None:
        """Remove a client's cursor."""
        if self._current.get(client.id) is client:
            del self._current[client.id]
        self._lagging.remove(client)

    def seconds_until_due(self) -> float:
        """Return after how many seconds `advance` or `send_head` has work even if nothing arrives."""
        paces = [cursor.pace for cursor in self._lagging.by_client.values() if cursor.pace]
        return min([self._sender.sent_at + self._head_interval - time.monotonic(), *paces])

    def advance(self) -> None:
        """Move every cursor as far as the buffer reaches and its client takes messages."""
        self._advance_current()
        if not self._lagging.by_client:
            return
        for cursors in _by_position(self._lagging.ready()):
            while cursors:
                entries = self._buffer.after(cursors[0].seq, self._backlog)
                if entries is None or not (cursors := self._serve(cursors, entries)):
                    break
                if cursors[0].seq >= self._buffer.last:
                    break
        self._gather()

    def feed(self, entries: list[Entry]) -> None:
        """Move the cursors that the buffer cannot serve over entries read from the database."""
        for cursors in _by_position(self._lagging.unserved()):
            self._serve(cursors, entries)

    def send_head(self) -> None:
        """Send the current clients the log's head when they have been sent nothing for a while."""
        if time.monotonic() < self._sender.sent_at + self._head_interval:
            return
        self._sender.sent_at = time.monotonic()
        if self._current and self._shared.seq == self._buffer.last:
            payload = head_payload(self._instance_id, self._buffer.epoch, self._buffer.last)
            self._transport.send_to_all(self._current.values(), [self._transport.frame(HEAD, payload)])

    def lose(self, after: int, before: int) -> None:
        """Reset the clients that need an event above `after` and up to `before`, none of which is stored any more."""
        if after <= self._shared.seq < before and self._shared.seq + 1 < self._buffer.first:
            self._separate_cursors()
        self._lagging.reset_between(after, before)

    def reset_all(self, reason: Reason) -> None:
        """Reset every client to the end of the buffer."""
        self._separate_cursors()
        self._lagging.reset_all(reason)
        self._gather()

    def revoke(self) -> None:
        """Send every client `reset` with the reason `revoked`, and remove all of them."""
        self.reset_all("revoked")
        self._current.clear()
        self._lagging.by_client.clear()

    def _settle(self, cursor: Cursor) -> None:
        """Make a client current if its cursor has everything, and lagging otherwise."""
        shared = self._shared
        if not self._current:
            shared.epoch, shared.seq, shared.stamp = self._buffer.epoch, self._buffer.last, self._live.stamp
        if (cursor.seq, cursor.stamp, cursor.epoch) == (shared.seq, shared.stamp, shared.epoch):
            self._lagging.by_client.pop(cursor.client.id, None)
            self._current[cursor.client.id] = cursor.client
        else:
            self._lagging.by_client[cursor.client.id] = cursor

    def _gather(self) -> None:
        """Make the clients current that have caught up."""
        for cursor in [cursor for cursor in self._lagging.by_client.values() if not cursor.pace]:
            self._settle(cursor)

    def _separate_cursors(self) -> None:
        """Give every current client a cursor of its own."""
        for client in self._current.values():
            self._lagging.by_client[client.id] = self._shared.copy_for(client)
        self._current.clear()

    def _advance_current(self) -> None:
        shared = self._shared
        while self._current:
            entries = self._buffer.after(shared.seq, self._backlog)
            if entries is None or shared.epoch != self._buffer.epoch:
                self._separate_cursors()
                return
            if not entries and shared.stamp >= self._live.stamp:
                return
            before = shared.copy_for(shared.client)
            durable, live = self._collect(shared, entries)
            if not durable and not live:
                return
            for client, sent_count in self._send(self._current.values(), durable, live):
                del self._current[client.id]
                cursor = self._sender.advance_by(before.copy_for(client), sent_count, len(durable))
                self._lagging.by_client[client.id] = cursor

    def _serve(self, cursors: Sequence[Cursor], entries: list[Entry]) -> list[Cursor]:
        """Move cursors that stand at one position; returns those that moved as far as the entries go."""
        first = cursors[0]
        before = first.copy_for(first.client)
        durable, live = self._collect(first, entries[: self._backlog])
        after = first.copy_for(first.client)
        for cursor in cursors:
            cursor.seq, cursor.stamp = after.seq, after.stamp
        if not durable and not live:
            return []
        served = {cursor.client.id: cursor for cursor in cursors}
        for client, sent_count in self._send([cursor.client for cursor in cursors], durable, live):
            cursor = served.pop(client.id)
            cursor.seq, cursor.stamp = before.seq, before.stamp
            self._sender.advance_by(cursor, sent_count, len(durable))
        return list(served.values())


def _by_position(cursors: Iterable[Cursor]) -> list[list[Cursor]]:
    """Return cursors in groups that stand at the same position, so that each message is joined once per group."""
    groups: dict[tuple[int, int], list[Cursor]] = {}
    for cursor in cursors:
        groups.setdefault((cursor.seq, cursor.stamp), []).append(cursor)
    return list(groups.values())
