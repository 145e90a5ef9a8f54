"""The clients of one watched instance: moves their cursors, sends what is due. On the road, after `watch`.

Whoever has everything stands in the crowd, which has one cursor for all: an event costs it one encoding and one write
for each client, and nothing else. Whoever cannot take something leaves the crowd with a cursor of its own, and is back
once it has caught up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.delivery.cursor import Client, Cursor, LiveStates
from swallowtail.app.delivery.event_buffer import Ring
from swallowtail.app.delivery.masked_view import Lens
from swallowtail.app.delivery.metrics import DELIVERED_DURABLE, DELIVERED_LIVE, RESETS, RING_MISSES
from swallowtail.app.delivery.wire import HEAD, RESET, Entry, Frame, Reason, Transport, head_payload, reset_payload

#: Shortest and longest pause, in seconds, of a cursor whose client takes messages too slowly and does not say when.
SHORTEST_PACE, LONGEST_PACE = 0.005, 0.25


class Audience:
    """The cursors of one instance. Not safe for threads: its watch has the lock."""

    def __init__(
        self,
        instance_id: str,
        ring: Ring,
        live: LiveStates,
        settings: Settings,
        transport: Transport,
        lens: Lens | None = None,
    ) -> None:
        """`lens`: what these clients see instead of everything."""
        self._lens = lens
        #: Where a cursor stands after each of the messages that a lens gave last.
        self._ends: list[int] = []
        self._instance_id = instance_id
        self._ring = ring
        self._live = live
        self._settings = settings
        self._transport = transport
        self._crowd: dict[str, Client] = {}
        #: Where the crowd stands. A client of nobody's.
        self._place = Cursor(Client(""), ring.epoch, ring.last, live.stamp)
        self._stragglers: dict[str, Cursor] = {}
        self._told_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._crowd) + len(self._stragglers)

    def __contains__(self, client: Client) -> bool:
        return client.id in self._crowd or client.id in self._stragglers

    @property
    def behind(self) -> int:
        """How many clients do not have everything."""
        return len(self._stragglers)

    def admit(self, client: Client, seq: int, *, move: bool) -> None:
        """Give a client a cursor after `seq`; one that it has already stays where it is unless `move` is set."""
        if client in self and not move:
            return
        self._crowd.pop(client.id, None)
        self._settle(Cursor(client, self._ring.epoch, seq, self._live.stamp))

    def dismiss(self, client: Client) -> None:
        """Take a client's cursor away."""
        if self._crowd.get(client.id) is client:
            del self._crowd[client.id]
        standing = self._stragglers.get(client.id)
        if standing is not None and standing.client is client:
            del self._stragglers[client.id]

    def hindmost(self) -> int | None:
        """Return where the hindmost cursor stands that the ring cannot serve and whose client keeps up."""
        return min((cursor.seq for cursor in self._behind()), default=None)

    def rest(self) -> float:
        """Return after how many seconds `advance` or `tell_head` has something to do even if nothing arrives."""
        paces = [cursor.pace for cursor in self._stragglers.values() if cursor.pace]
        return min([self._told_at + self._settings.head_interval - time.monotonic(), *paces])

    def advance(self) -> None:
        """Move every cursor as far as the ring reaches and its client keeps up."""
        self._advance_crowd()
        for cursors in _by_place(self._runners()):
            while cursors:
                entries = self._ring.after(cursors[0].seq, self._settings.client_backlog)
                if entries is None or not (cursors := self._serve(cursors, entries)):
                    break
                if cursors[0].seq >= self._ring.last:
                    break
        self._gather()

    def feed(self, entries: list[Entry]) -> None:
        """Move the cursors that the ring cannot serve over entries read from the database."""
        for cursors in _by_place(self._behind()):
            self._serve(cursors, entries)

    def tell_head(self) -> None:
        """Tell everybody who has everything where the log stands, when nothing has been sent for a while."""
        if time.monotonic() < self._told_at + self._settings.head_interval:
            return
        self._told_at = time.monotonic()
        if self._crowd and self._place.seq == self._ring.last:
            payload = head_payload(self._instance_id, self._ring.epoch, self._ring.last)
            self._transport.spread(self._crowd.values(), [self._transport.frame(HEAD, payload)])

    def lose(self, after: int, before: int) -> None:
        """Reset the cursors that need an event above `after` and up to `before`, none of which is stored any more."""
        if after <= self._place.seq < before and self._place.seq + 1 < self._ring.first:
            self._disperse()
        for cursor in list(self._stragglers.values()):
            if after <= cursor.seq < before and cursor.seq + 1 < self._ring.first:
                self.reset(cursor, "too_old", before)

    def reset_all(self, reason: Reason) -> None:
        """Reset every cursor to where the ring stands."""
        self._disperse()
        for cursor in list(self._stragglers.values()):
            self.reset(cursor, reason, self._ring.last)
        self._gather()

    def revoke(self) -> None:
        """Tell everybody to give up, and let them go."""
        self.reset_all("revoked")
        self._crowd.clear()
        self._stragglers.clear()

    def reset(self, cursor: Cursor, reason: Reason, seq: int) -> None:
        """Tell a client to begin again. One that does not know `reset` at least gets everything after `seq`."""
        RESETS.labels(reason).inc()
        cursor.epoch, cursor.seq, cursor.stamp = self._ring.epoch, seq, self._live.stamp
        frame = self._transport.frame(RESET, reset_payload(self._instance_id, reason))
        self._transport.send(cursor.client.id, [frame])

    def _settle(self, cursor: Cursor) -> None:
        """Put a client into the crowd if it stands there, and by itself otherwise."""
        if not self._crowd:
            place = self._place
            place.epoch, place.seq, place.stamp = self._ring.epoch, self._ring.last, self._live.stamp
        if cursor.stands_at(self._place):
            self._stragglers.pop(cursor.client.id, None)
            self._crowd[cursor.client.id] = cursor.client
        else:
            self._stragglers[cursor.client.id] = cursor

    def _gather(self) -> None:
        """Take those who have caught up into the crowd."""
        for cursor in [cursor for cursor in self._stragglers.values() if not cursor.pace]:
            self._settle(cursor)

    def _disperse(self) -> None:
        """Give everybody in the crowd a cursor of its own."""
        for client in self._crowd.values():
            self._stragglers[client.id] = self._place.copy_for(client)
        self._crowd.clear()

    def _advance_crowd(self) -> None:
        place = self._place
        while self._crowd:
            entries = self._ring.after(place.seq, self._settings.client_backlog)
            if entries is None or place.epoch != self._ring.epoch:
                self._disperse()
                return
            if not entries and place.stamp >= self._live.stamp:
                return
            before = place.copy_for(place.client)
            durable, live = self._take(place, entries)
            if not durable and not live:
                return
            for client, taken in self._spread(self._crowd.values(), durable, live):
                del self._crowd[client.id]
                self._stragglers[client.id] = self._cut(before.copy_for(client), taken, len(durable))

    def _runners(self) -> Iterable[Cursor]:
        """Yield the stragglers whose clients take messages; see to the others."""
        for cursor in list(self._stragglers.values()):
            if cursor.client.gone:
                continue
            if cursor.epoch != self._ring.epoch:
                self.reset(cursor, "epoch", self._ring.last)
            if not self._transport.is_ready(cursor.client):
                self._hold_back(cursor)
            else:
                cursor.pace = 0.0
                yield cursor

    def _behind(self) -> list[Cursor]:
        """Return the cursors that the ring cannot serve and whose clients keep up."""
        first = self._ring.first
        behind = [c for c in self._stragglers.values() if c.seq + 1 < first and not c.pace and not c.client.gone]
        for cursor in behind:
            if not cursor.missed:
                cursor.missed = True
                RING_MISSES.labels("cursor").inc()
        return behind

    def _serve(self, cursors: Sequence[Cursor], entries: list[Entry]) -> list[Cursor]:
        """Move cursors that stand at one place; returns those that moved as far as the entries go."""
        first = cursors[0]
        before = first.copy_for(first.client)
        durable, live = self._take(first, entries[: self._settings.client_backlog])
        after = first.copy_for(first.client)
        for cursor in cursors:
            cursor.seq, cursor.stamp = after.seq, after.stamp
        if not durable and not live:
            return []
        standing = {cursor.client.id: cursor for cursor in cursors}
        for client, taken in self._spread([cursor.client for cursor in cursors], durable, live):
            cursor = standing.pop(client.id)
            cursor.seq, cursor.stamp = before.seq, before.stamp
            self._cut(cursor, taken, len(durable))
        return list(standing.values())

    def _take(self, cursor: Cursor, entries: list[Entry]) -> tuple[list[Frame], list[Frame]]:
        if self._lens is None:
            durable = cursor.take(entries, self._settings.client_backlog)
        else:
            durable, self._ends = self._lens.take(cursor, entries, self._settings.client_backlog)
        return durable, self._live.take(cursor, self._lens) if cursor.seq >= self._ring.last else []

    def _spread(
        self, clients: Iterable[Client], durable: list[Frame], live: list[Frame]
    ) -> Sequence[tuple[Client, int]]:
        everybody = [client for client in clients if not client.gone]
        short = self._transport.spread(everybody, durable + live)
        if durable:
            self._told_at = time.monotonic()
            missed = sum(max(0, len(durable) - taken) for _, taken in short)
            DELIVERED_DURABLE.inc(len(durable) * len(everybody) - missed)
        if live:
            missed = sum(min(len(live), len(durable) + len(live) - taken) for _, taken in short)
            DELIVERED_LIVE.inc(len(live) * len(everybody) - missed)
        return short

    def _cut(self, cursor: Cursor, taken: int, durable: int) -> Cursor:
        """Move a cursor over as many messages as its client took, and let it rest."""
        if self._lens is None:
            cursor.seq += min(taken, durable)
        elif taken and durable:
            cursor.seq = self._ends[min(taken, durable) - 1]
        cursor.stamp = self._live.stamp_after(cursor.stamp, taken - durable, self._lens)
        cursor.pace = SHORTEST_PACE
        return cursor

    def _hold_back(self, cursor: Cursor) -> None:
        cursor.pace = min(max(cursor.pace, SHORTEST_PACE) * 2, LONGEST_PACE)
        if self._ring.last - cursor.seq > self._settings.replay_limit:
            self.reset(cursor, "lag", self._ring.last)


def _by_place(cursors: Iterable[Cursor]) -> list[list[Cursor]]:
    """Return cursors in groups that stand at the same place, so that each message is joined once for all of them."""
    places: dict[tuple[int, int], list[Cursor]] = {}
    for cursor in cursors:
        places.setdefault((cursor.seq, cursor.stamp), []).append(cursor)
    return list(places.values())
