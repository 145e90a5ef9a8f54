"""One watched instance: its ring, its live states, its audience, and the pump that joins them.

On the road inside `delivery/hub`. Whatever arrives (hints from Redis, heads from the database, departures) goes into a
mailbox; the pump takes it out, reads from the database what did not arrive, and moves every cursor as far as it can.
Whoever holds the lock of a watch waits for no other lock, so that a send may end in somebody's disconnection.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.delivery.client_groups import Audiences
from swallowtail.app.delivery.cursor import Client, LiveStates
from swallowtail.app.delivery.database_reader import Archive, Page
from swallowtail.app.delivery.event_buffer import Ring
from swallowtail.app.delivery.gap import Gap
from swallowtail.app.delivery.metrics import (
    HEARD_EVENTS,
    HEARD_LIVE,
    HINTS,
    LIVE_OFFERED,
    READS,
    RING_MISSES,
    SNAPSHOTS,
    observe_delivery,
)
from swallowtail.app.delivery.redis.messages import EventsHint, LiveHint, read_hint
from swallowtail.app.delivery.wire import Answer, Entry, Since, Transport, make_entry

log = structlog.get_logger(__name__)

#: Pause, in seconds, after the database could not be read.
READ_REST = 1.0


@dataclass(frozen=True, slots=True)
class _HeadNews:
    head: Head | None
    cause: str


@dataclass(frozen=True, slots=True)
class _Departure:
    client: Client


class Watch:
    """Delivers one instance to its clients: strictly in order, nothing twice, whatever races."""

    def __init__(
        self,
        instance_id: str,
        head: Head,
        settings: Settings,
        archive: Archive,
        transport: Transport,
        *,
        after: int | None = None,
    ) -> None:
        """`after` is where the first client stands if that is behind the head: the ring begins there, so that all who
        come back at once are served from it.
        """
        start = head.seq if after is None else max(after, head.seq - settings.ring_events)
        self.instance_id = instance_id
        #: Subscriptions under way, which keep the watch from ending. Guarded by the hub's lock.
        self.holds = 0
        self._archive = archive
        self._transport = transport
        self._lock = threading.RLock()
        self._woken = threading.Event()
        self._mailbox: deque[bytes | _HeadNews | _Departure] = deque()
        self._ring = Ring(head.epoch, start, events=settings.ring_events, size=settings.ring_bytes)
        self._live = LiveStates()
        self._audience = Audiences(instance_id, self._ring, self._live, settings, transport)
        self._gap = Gap()
        if start < head.seq:
            self._gap.ask_now("resume")
        self._asked_for = head.seq
        self._ring.expect(head.seq)
        self._settings = settings
        self._known = head
        self._is_gone = False
        self._was_joined = self._is_joined_anew = False
        #: Events that have joined the line and were not handed to the clients yet. Those up to `_old` are no news.
        self._fresh: list[Entry] = []
        self._old = head.seq
        self._turned_at = 0.0
        self._resting_until = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether no client is here. Takes no lock."""
        return not self._audience

    @property
    def behind(self) -> int:
        """How many clients do not have everything. Takes no lock."""
        return self._audience.behind

    def joined(self) -> None:
        """Learn that the instance's channel is heard from now on: a gap found next was made before. Takes no lock."""
        self._is_joined_anew = True

    def hear(self, message: bytes) -> None:
        """Take a message from the instance's channel; in a room that is not busy it is on its way on return."""
        self._mailbox.append(message)
        if not (self._is_due() and self._turn_lightly()):
            self._woken.set()

    def check(self, head: Head | None) -> None:
        """Take what the database says about the instance; None when it is gone."""
        ring = self._ring
        cause = "head_check"
        if self._is_joined_anew:
            cause = "reconnect" if self._was_joined else "subscribe"
            self._is_joined_anew, self._was_joined = False, True
        if head is None or head.epoch != ring.epoch or head.seq > ring.last or ring.has_gap:
            self._post(_HeadNews(head, cause))
        else:
            # Nothing is missing: not worth waking anybody.
            self._known = head

    def leave(self, client: Client) -> None:
        """Forget a client whose connection is gone. Takes no lock: it may be called in the middle of a send."""
        self._post(_Departure(client))

    def wake(self) -> None:
        """Have the pump look at once."""
        self._woken.set()

    def place_now(
        self,
        client: Client,
        since: Since | None,
        *,
        room: int,
        snapshot: Answer | None,
        greet: Callable[[Answer], None],
    ) -> bool:
        """Begin a subscription as `place` does, without the database; False when only the database can tell.

        `room` is the longest gap that is replayed; `snapshot` is what it may begin with if it cannot be replayed.
        """
        with self._lock:
            answer = self._answer(since, room) or self._fit(snapshot)
            if answer is None:
                if since is not None and since.epoch == self._ring.epoch:
                    RING_MISSES.labels("subscription").inc()
                return False
            if since is not None:
                self._audience.dismiss(client)
            greet(answer)
            self._audience.admit(client, answer.seq, move=since is not None)
            behind = answer.seq < self._ring.last
        if behind:
            self._woken.set()
        return True

    def _answer(self, since: Since | None, room: int) -> Answer | None:
        ring = self._ring
        if self._is_gone or self._known.epoch != ring.epoch:
            return None
        head = Head(ring.epoch, max(ring.last, self._known.seq), self._known.min_seq)
        if since is None:
            return None if ring.has_gap else Answer(self.instance_id, "live", head, ring.last)
        held = ring.first - 1 <= since.seq <= ring.last and head.seq - since.seq <= room
        return Answer(self.instance_id, "replay", head, since.seq) if held and since.epoch == ring.epoch else None

    def _fit(self, snapshot: Answer | None) -> Answer | None:
        """Return a snapshot that was read for somebody else if what follows it is at hand."""
        if snapshot is None or self._is_gone or snapshot.head.epoch != self._ring.epoch:
            return None
        if snapshot.seq + 1 < self._ring.first:
            return None
        SNAPSHOTS.labels("shared").inc()
        return snapshot

    def place(self, client: Client, answer: Answer, *, move: bool, greet: Callable[[Answer], None]) -> None:
        """Begin a subscription: call `greet`, then deliver what follows `answer.seq`.

        A client that is here already stays where it is unless `move` is set.
        """
        with self._lock:
            if move:
                self._audience.dismiss(client)
            if answer.head.epoch != self._ring.epoch:
                self._begin_anew(answer.head)
                # The answer may be the older of the two; the pump looks for itself.
                self._gap.ask_now("epoch")
            self._known, self._is_gone = answer.head, False
            self._expect(answer.head.seq, "subscribe")
            greet(answer)
            self._audience.admit(client, answer.seq, move=move)
        self._woken.set()

    def remove(self, client: Client, farewell: Callable[[], None]) -> None:
        """End a subscription: nothing of the instance follows `farewell`."""
        with self._lock:
            self._audience.dismiss(client)
            farewell()
        self._woken.set()

    def run(self, may_end: Callable[[Watch], bool]) -> None:
        """Deliver until `may_end` agrees that the watch, having no clients, is no longer needed."""
        while True:
            self._woken.wait(self._pause())
            self._woken.clear()
            if self._mailbox and (rest := self._rest_of_join()) > 0:
                time.sleep(rest)
            try:
                self.turn()
            except Unavailable as away:
                log.warning("replay_postponed", instance_id=self.instance_id, reason=away.message)
                self._resting_until = time.monotonic() + READ_REST
            except Exception:
                log.exception("delivery_failed", instance_id=self.instance_id)
                self._resting_until = time.monotonic() + READ_REST
            if self.is_idle and may_end(self):
                return

    def _post(self, item: bytes | _HeadNews | _Departure) -> None:
        self._mailbox.append(item)
        self._woken.set()

    def _pause(self) -> float:
        with self._lock:
            if self._mailbox:
                return 0.0
            pause = self._audience.rest()
            wanted = 0.0 if self._audience.hindmost() is not None else self._gap.ask_at
            if wanted is not None:
                pause = min(pause, max(wanted, self._resting_until) - time.monotonic())
            return max(pause, 0.001)

    def _rest_of_join(self) -> float:
        return self._turned_at + self._settings.join_seconds - time.monotonic()

    def _is_due(self) -> bool:
        """Tell whether the room is idle enough for an event to leave by itself, at once."""
        return self._rest_of_join() <= 0

    def _turn_lightly(self) -> bool:
        """Do what `turn` does as far as nothing has to be waited for; tells whether that was all."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._turned_at = time.monotonic()
            self._take_mail()
            self._advance()
            return not self._mailbox and self._gap.ask_at is None and self._audience.hindmost() is None
        except Exception:
            log.exception("delivery_failed", instance_id=self.instance_id)
            return False
        finally:
            self._lock.release()

    def turn(self) -> None:
        """Take what has arrived, read what is missing, and send everything that is due: one round of the pump.

        Raises:
            Unavailable: the database is away; what is at hand has been sent.
        """
        with self._lock:
            self._turned_at = time.monotonic()
            self._take_mail()
            self._advance()
        while (after := self._next_read()) is not None:
            page = self._archive.read_page(self.instance_id, after)
            with self._lock:
                self._take_page(after, page)
                self._take_mail()
                self._advance()
            # Lets writers take what is queued, so that a long replay does not fill its client's backlog at once.
            time.sleep(0)
        with self._lock:
            self._audience.tell_head()

    def _advance(self) -> None:
        self._audience.advance()
        if self._fresh:
            observe_delivery([entry.at for entry in self._fresh if entry.seq > self._old] if self._audience else [])
            self._fresh.clear()

    def _next_read(self) -> int | None:
        """Return the number after which to read: where the ring ends if it lacks something, or the hindmost cursor."""
        with self._lock:
            now = time.monotonic()
            self._asked_for = self._ring.target
            if self.is_idle or now < self._resting_until:
                return None
            if self._gap.is_due(now):
                return self._ring.last
            hindmost = self._audience.hindmost()
            if hindmost is not None:
                READS.labels("replay").inc()
            return hindmost

    def _take_mail(self) -> None:
        while self._mailbox:
            item = self._mailbox.popleft()
            if isinstance(item, _Departure):
                self._audience.dismiss(item.client)
            elif isinstance(item, _HeadNews):
                self._take_head(item.head, item.cause)
            else:
                self._take_hint(item)

    def _take_hint(self, message: bytes) -> None:
        hint = read_hint(message, self.instance_id)
        if hint is None:
            HINTS.labels("unreadable").inc()
        elif isinstance(hint, LiveHint):
            HEARD_LIVE.inc()
            self._take_live(hint)
        else:
            HEARD_EVENTS.inc()
            self._take_events(hint)

    def _take_events(self, hint: EventsHint) -> None:
        if hint.epoch != self._ring.epoch:
            self._gap.ask_now("epoch")
            return
        fresh = [wire for wire in hint.wires if not self._ring.knows(wire["seq"])]
        self._append([make_entry(self._transport, wire, hint.at) for wire in fresh], "lost_hint")

    def _take_live(self, hint: LiveHint) -> None:
        if hint.wire["epoch"] != self._ring.epoch:
            # Of another log of this name, or of one that was begun anew: its numbers say nothing here.
            HINTS.labels("other_epoch").inc()
            return
        frame = self._transport.frame(hint.wire["type"], hint.wire)
        if self._live.offer(hint.base_seq, hint.wire, frame):
            LIVE_OFFERED.inc(len(self._audience))
            self._expect(hint.base_seq, "lost_hint")

    def _take_head(self, head: Head | None, cause: str) -> None:
        if head is None:
            self._is_gone = True
            self._audience.revoke()
            return
        self._known = head
        if head.epoch != self._ring.epoch:
            self._begin_anew(head)
        else:
            self._expect(head.seq, cause)

    def _take_page(self, after: int, page: Page) -> None:
        """Take what the database has after a number, and what it says about the log."""
        self._gap.close()
        if page.head is None or page.head.epoch != self._ring.epoch:
            self._take_head(page.head, "epoch")
            return
        entries = [make_entry(self._transport, event.wire(), event.at) for event in page.events]
        before = entries[0].seq - 1 if entries else page.head.seq
        if before > after:
            self._skip(after, before)
        self._audience.feed(entries)
        if self._ring.target == self._asked_for:
            # Nothing was heard since the database was asked: what it does not know does not exist.
            self._ring.correct(page.head.seq)
            self._live.drop_after(self._ring.target)
        self._append(entries, None)
        if self._ring.has_gap:
            self._gap.ask_now(None)

    def _skip(self, after: int, before: int) -> None:
        """Events above `after` and up to `before` are no longer stored: nobody can be given them any more."""
        if after <= self._ring.last < before:
            self._ring.begin_anew(self._ring.epoch, before)
        self._audience.lose(after, before)

    def _append(self, entries: list[Entry], cause: str | None) -> None:
        taken = self._ring.offer(entries)
        if taken:
            self._live.settle(taken, self._ring.first)
            self._fresh += taken
        self._expect(self._ring.last, cause)

    def _expect(self, seq: int, cause: str | None) -> None:
        """Note that an event exists; if it does not arrive by itself soon, the database is asked."""
        self._ring.expect(seq)
        self._gap.expect(self._ring.has_gap, cause)

    def _begin_anew(self, head: Head) -> None:
        """The log has another epoch: everybody is told, and goes on from its head."""
        self._ring.begin_anew(head.epoch, head.seq)
        self._old = head.seq
        self._fresh.clear()
        self._live.clear()
        self._gap.close()
        self._audience.reset_all("epoch")
