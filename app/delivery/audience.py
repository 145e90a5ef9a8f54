"""The clients of one watched instance: moves their cursors, sends what is due. On the road, after `watch`."""

from __future__ import annotations

import time

from app.core.settings import Settings
from app.delivery.counters import DELIVERED, RESETS
from app.delivery.cursor import Client, Cursor, LiveStates
from app.delivery.ring import Ring
from app.delivery.wire import HEAD, RESET, Entry, Reason, Transport, head_payload, reset_payload

#: Shortest and longest pause, in seconds, of a cursor whose client takes messages too slowly.
SHORTEST_PACE, LONGEST_PACE = 0.005, 0.25


class Audience:
    """The cursors of one instance. Not safe for threads: its watch has the lock."""

    def __init__(
        self, instance_id: str, ring: Ring, live: LiveStates, settings: Settings, transport: Transport
    ) -> None:
        self._instance_id = instance_id
        self._ring = ring
        self._live = live
        self._settings = settings
        self._transport = transport
        self._cursors: dict[str, Cursor] = {}
        self._told_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._cursors)

    def admit(self, client: Client, seq: int, *, move: bool) -> None:
        """Give a client a cursor after `seq`; one that it has already stays where it is unless `move` is set."""
        if move or client.id not in self._cursors:
            self._cursors[client.id] = Cursor(client, self._ring.epoch, seq, self._live.stamp)

    def dismiss(self, client: Client) -> None:
        """Take a client's cursor away."""
        standing = self._cursors.get(client.id)
        if standing is not None and standing.client is client:
            del self._cursors[client.id]

    def hindmost(self) -> int | None:
        """Return where the hindmost cursor stands that the ring cannot serve and whose client keeps up."""
        first = self._ring.first
        return min((c.seq for c in self._cursors.values() if c.seq + 1 < first and not c.pace), default=None)

    def rest(self) -> float:
        """Return after how many seconds `advance` or `tell_head` has something to do even if nothing arrives."""
        paces = [cursor.pace for cursor in self._cursors.values() if cursor.pace]
        return min([self._told_at + self._settings.head_interval - time.monotonic(), *paces])

    def advance(self) -> None:
        """Move every cursor as far as the ring reaches and its client keeps up."""
        for cursor in list(self._cursors.values()):
            if cursor.client.gone:
                continue
            if cursor.epoch != self._ring.epoch:
                self.reset(cursor, "epoch", self._ring.last)
            entries = self._ring.after(cursor.seq, self._settings.client_backlog)
            if entries is not None or cursor.pace:
                self._serve(cursor, entries or [])

    def feed(self, entries: list[Entry]) -> None:
        """Move the cursors that the ring cannot serve over entries read from the database."""
        for cursor in list(self._cursors.values()):
            if cursor.seq + 1 < self._ring.first and not cursor.pace and not cursor.client.gone:
                self._serve(cursor, entries)

    def tell_head(self) -> None:
        """Tell everybody who has everything where the log stands, when nothing has been sent for a while."""
        if time.monotonic() < self._told_at + self._settings.head_interval:
            return
        self._told_at = time.monotonic()
        payload = head_payload(self._instance_id, self._ring.epoch, self._ring.last)
        frame = self._transport.frame(HEAD, payload)
        for cursor in list(self._cursors.values()):
            if cursor.seq == self._ring.last and not cursor.pace:
                self._transport.send(cursor.client.id, [frame])

    def lose(self, after: int, before: int) -> None:
        """Reset the cursors that need an event above `after` and up to `before`, none of which is stored any more."""
        for cursor in list(self._cursors.values()):
            if after <= cursor.seq < before and cursor.seq + 1 < self._ring.first:
                self.reset(cursor, "too_old", before)

    def reset_all(self, reason: Reason) -> None:
        """Reset every cursor to where the ring stands."""
        for cursor in list(self._cursors.values()):
            self.reset(cursor, reason, self._ring.last)

    def revoke(self) -> None:
        """Tell everybody to give up, and let them go."""
        self.reset_all("revoked")
        self._cursors.clear()

    def reset(self, cursor: Cursor, reason: Reason, seq: int) -> None:
        """Tell a client to begin again. One that does not know `reset` at least gets everything after `seq`."""
        RESETS.labels(reason).inc()
        cursor.epoch, cursor.seq, cursor.stamp = self._ring.epoch, seq, self._live.stamp
        frame = self._transport.frame(RESET, reset_payload(self._instance_id, reason))
        self._transport.send(cursor.client.id, [frame])

    def _serve(self, cursor: Cursor, entries: list[Entry]) -> None:
        room = self._settings.client_backlog - self._transport.backlog(cursor.client.id)
        if room <= 0:
            self._hold_back(cursor)
            return
        frames = cursor.take(entries, room)
        if frames:
            DELIVERED.labels("durable").inc(len(frames))
            self._told_at = time.monotonic()
        cursor.pace = 0.0 if len(frames) < room else SHORTEST_PACE
        if not cursor.pace:
            live = self._live.take(cursor)
            DELIVERED.labels("live").inc(len(live))
            frames += live
        if frames:
            self._transport.send(cursor.client.id, frames)

    def _hold_back(self, cursor: Cursor) -> None:
        cursor.pace = min(max(cursor.pace, SHORTEST_PACE) * 2, LONGEST_PACE)
        if self._ring.last - cursor.seq > self._settings.replay_limit:
            self.reset(cursor, "lag", self._ring.last)
