"""Takes messages from Redis and pages from the database into one instance's buffer, and passes events to clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.core.redis.messages import EventsMessage, LiveMessage, read_message
from swallowtail.app.delivery.clients.instance_clients import InstanceClients
from swallowtail.app.delivery.clients.live_states import LiveStates
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.database_reader import Page
from swallowtail.app.delivery.log.event_buffer import EventBuffer
from swallowtail.app.delivery.metrics import LIVE_OFFERED, MESSAGES, RECEIVED_EVENTS, RECEIVED_LIVE, observe_delivery
from swallowtail.app.delivery.streams.gap import Gap
from swallowtail.app.delivery.wire import Entry


class EventIntake:
    """The state of one instance's log in this process. Not safe for threads: the stream has the lock."""

    def __init__(
        self, instance_id: str, head: Head, settings: Settings, transport: Transport, after: int | None
    ) -> None:
        """`after`: see `InstanceStream`."""
        start = head.seq if after is None else max(after, head.seq - settings.ring_events)
        self.instance_id = instance_id
        self._transport = transport
        self.buffer = EventBuffer(head.epoch, start, events=settings.ring_events, size=settings.ring_bytes)
        self._live = LiveStates()
        self.groups = InstanceClients(instance_id, self.buffer, self._live, settings, transport)
        self.gap = Gap()
        if start < head.seq:
            self.gap.ask_now("resume")
        #: The buffer's target when the database was asked last.
        self.asked_for = head.seq
        self.buffer.raise_target(head.seq)
        #: The latest head that the database returned.
        self.head = head
        #: Whether the database no longer has the instance.
        self.is_gone = False
        #: Events in the buffer that have not been passed to the clients. Those up to `_old` are not new.
        self._fresh: list[Entry] = []
        self._old = head.seq

    def advance(self) -> None:
        """Pass new events to the clients, and measure how long that took since they were recorded."""
        for group in self.groups.all():
            group.advance()
        if self._fresh:
            observe_delivery([entry.at for entry in self._fresh if entry.seq > self._old] if self.groups else [])
            self._fresh.clear()

    def receive(self, message: bytes) -> None:
        """Take a message of the instance's channel."""
        content = read_message(message, self.instance_id)
        if content is None:
            MESSAGES.labels("unreadable").inc()
        elif isinstance(content, LiveMessage):
            RECEIVED_LIVE.inc()
            self._receive_live(content)
        else:
            RECEIVED_EVENTS.inc()
            self._receive_events(content)

    def receive_head(self, head: Head | None, cause: str) -> None:
        """Take the head that the database returned; None when the instance does not exist."""
        if head is None:
            self.is_gone = True
            self.groups.revoke()
            return
        self.head = head
        if head.epoch != self.buffer.epoch:
            self.restart(head)
        else:
            self.raise_target(head.seq, cause)

    def receive_page(self, after: int, page: Page) -> None:
        """Take the events after a number that the database returned."""
        self.gap.close()
        if page.head is None or page.head.epoch != self.buffer.epoch:
            self.receive_head(page.head, "epoch")
            return
        entries = [make_entry(self._transport, event.wire(), event.at) for event in page.events]
        before = entries[0].seq - 1 if entries else page.head.seq
        if before > after:
            self._skip(after, before)
        for group in self.groups.all():
            group.feed(entries)
        if self.buffer.target == self.asked_for:
            # No message came since the database was asked: an event that it does not have does not exist.
            self.buffer.correct(page.head.seq)
            self._live.drop_after(self.buffer.target)
        self._append(entries, None)
        if self.buffer.has_gap:
            self.gap.ask_now(None)

    def raise_target(self, seq: int, cause: str | None) -> None:
        """Record that an event exists; if it does not arrive by itself soon, the database is asked."""
        self.buffer.raise_target(seq)
        self.gap.expect(self.buffer.has_gap, cause)

    def restart(self, head: Head) -> None:
        """Continue from the head of another epoch, and reset every client."""
        self.buffer.restart(head.epoch, head.seq)
        self._old = head.seq
        self._fresh.clear()
        self._live.clear()
        self.gap.close()
        for group in self.groups.all():
            group.reset_all("epoch")

    def _receive_events(self, message: EventsMessage) -> None:
        if message.epoch != self.buffer.epoch:
            self.gap.ask_now("epoch")
            return
        fresh = [wire for wire in message.wires if not self.buffer.contains(wire["seq"])]
        self._append([make_entry(self._transport, wire, message.at) for wire in fresh], "lost_hint")

    def _receive_live(self, message: LiveMessage) -> None:
        if message.wire["epoch"] != self.buffer.epoch:
            # It belongs to another log of this name, or to one that was restarted: its numbers mean nothing here.
            MESSAGES.labels("other_epoch").inc()
            return
        frame = self._transport.frame(message.wire["type"], message.wire)
        if self._live.offer(message.base_seq, message.wire, frame):
            LIVE_OFFERED.inc(len(self.groups))
            self.raise_target(message.base_seq, "lost_hint")

    def _skip(self, after: int, before: int) -> None:
        """Step over the events above `after` and up to `before`, which are no longer stored."""
        if after <= self.buffer.last < before:
            self.buffer.restart(self.buffer.epoch, before)
        for group in self.groups.all():
            group.lose(after, before)

    def _append(self, entries: list[Entry], cause: str | None) -> None:
        added = self.buffer.offer(entries)
        if added:
            self._live.settle(added, self.buffer.first)
            self._fresh += added
        self.raise_target(self.buffer.last, cause)


def make_entry(transport: Transport, wire: Mapping[str, Any], at: float = 0.0) -> Entry:
    """Return the entry for the payload of a durable event (`EventRecord.wire()`) that was recorded at `at`."""
    progress = wire["data"].get("progress")
    frame = transport.frame(wire["type"], wire)
    return Entry(wire["seq"], wire["task_id"], wire["attempt"], float(progress or 0.0), frame, at)
