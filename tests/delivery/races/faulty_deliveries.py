"""Deliberately broken deliveries that the race tests must catch. Each has one likely mistake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import orjson
import redis

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.core.ledger.publisher import instance_channel
from swallowtail.app.core.redis.connection import connect
from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.delivery.clients.lagging_cursors import LaggingCursors
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader, Page
from swallowtail.app.delivery.streams.event_intake import EventIntake
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.fakes import FakeTransport


class RoomHub:
    """Sends each Redis message to the clients in the room, without numbers or database, as most systems do."""

    def __init__(self, settings: Settings, reader: DatabaseReader, transport: FakeTransport) -> None:
        self._settings = settings
        self._reader = reader
        self._transport = transport
        self._rooms: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._client = connect(settings)
        self._pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call] # the library has no type here
        self._pubsub.psubscribe(instance_channel(settings, "*"))
        assert self._pubsub.get_message(timeout=30) is not None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def clients(self) -> RoomHub:
        return self

    @property
    def subscriptions(self) -> RoomHub:
        return self

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._pubsub.close()
        self._client.close()

    def add(self, client_id: str) -> None:
        pass

    def disconnect(self, client_id: str) -> None:
        with self._lock:
            for room in self._rooms.values():
                room.discard(client_id)

    def subscribe(
        self, client_id: str, instance_id: str, since: Since | None, on_start: Callable[[SubscriptionStart], None]
    ) -> None:
        start = self._reader.read_start(instance_id, since)
        on_start(start)
        for event in self._reader.read_page(instance_id, start.seq).events:
            self._transport.send(client_id, [self._transport.frame(event.type, event.wire())])
        # Events between the read and the join are lost.
        with self._lock:
            self._rooms.setdefault(instance_id, set()).add(client_id)

    def unsubscribe(self, client_id: str, instance_id: str, on_end: Callable[[], None]) -> None:
        self.disconnect(client_id)
        on_end()

    def _run(self) -> None:
        prefix = instance_channel(self._settings, "")
        while not self._stopping.is_set():
            with suppress(redis.RedisError, OSError):
                message = self._pubsub.get_message(timeout=0.1)
                if message is not None and message["type"] == "pmessage":
                    self._pass_on(message["channel"].decode().removeprefix(prefix), orjson.loads(message["data"]))

    def _pass_on(self, instance_id: str, content: dict[str, Any]) -> None:
        with self._lock:
            for client_id in self._rooms.get(instance_id, ()):
                for wire in content.get("events", ()):
                    self._transport.send(client_id, [self._transport.frame(wire["type"], wire)])


class LateReader(DatabaseReader):
    """Reports the head, and delivers from a later one."""

    def read_start(self, instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        start = super().read_start(instance_id, since, view)
        until = time.monotonic() + 5
        while (later := super().read_start(instance_id, None)).seq == start.head.seq and time.monotonic() < until:
            time.sleep(0.001)
        return replace(start, seq=later.seq)


class FixedReader(DatabaseReader):
    """Always returns the first heads that it read, so that the head check finds nothing."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.checks = 0
        self._known: dict[str, Head] = {}

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        for instance_id, head in super().read_heads(instance_ids).items():
            self._known.setdefault(instance_id, head)
        self.checks += 1
        return {instance_id: self._known[instance_id] for instance_id in instance_ids if instance_id in self._known}


class EpochBlindReader(DatabaseReader):
    """Ignores epochs: it returns the first one that it read."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.checks = 0
        self._epoch: str | None = None

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        self.checks += 1
        return {name: self._blind(head) for name, head in super().read_heads(instance_ids).items()}

    def read_page(self, instance_id: str, after: int) -> Page:
        page = super().read_page(instance_id, after)
        return page if page.head is None else replace(page, head=self._blind(page.head))

    def read_start(self, instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        start = super().read_start(instance_id, since and self._translate(instance_id, since), view)
        return replace(start, head=self._blind(start.head))

    def _translate(self, instance_id: str, since: Since) -> Since:
        real = super().read_start(instance_id, None).head.epoch
        return replace(since, epoch=real) if since.epoch == self._epoch else since

    def _blind(self, head: Head) -> Head:
        self._epoch = self._epoch or head.epoch
        return replace(head, epoch=self._epoch)


class ForgetfulHub(Hub):
    """Ends the subscriptions of a connection that drops, and forgets that one may be about to start."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        clients = self.clients.by_id
        self.clients.remove = lambda client_id: clients.pop(client_id, None)  # type: ignore[method-assign]


class TalkativeHub(Hub):
    """Confirms an unsubscription first, and stops delivering afterwards."""

    def __init__(self, settings: Settings, reader: DatabaseReader, transport: FakeTransport) -> None:
        super().__init__(settings, reader, transport)
        unsubscribe = self.subscriptions.unsubscribe

        def confirm_first(client_id: str, instance_id: str, on_end: Callable[[], None]) -> None:
            on_end()
            had, until = len(transport.sent.get(client_id, ())), time.monotonic() + 5
            while len(transport.sent.get(client_id, ())) == had and time.monotonic() < until:
                time.sleep(0.001)
            unsubscribe(client_id, instance_id, lambda: None)

        self.subscriptions.unsubscribe = confirm_first  # type: ignore[method-assign]


@contextmanager
def silent_skips() -> Iterator[None]:
    """Streams that step over events that are no longer stored without a `reset`."""

    def skip(intake: EventIntake, after: int, before: int) -> None:
        buffer, group = intake.buffer, intake.groups._full
        if after <= buffer.last < before:
            buffer.restart(buffer.epoch, before)
        group._separate_cursors()
        for cursor in list(group._lagging.by_client.values()):
            if after <= cursor.seq < before:
                cursor.seq = before

    with patch.object(EventIntake, "_skip", skip):
        yield


@contextmanager
def silent_epochs() -> Iterator[None]:
    """Streams that go on in another epoch without a `reset`."""

    def reset(lagging: LaggingCursors, cursor: Any, reason: str, seq: int) -> None:
        cursor.epoch, cursor.seq, cursor.stamp = lagging._buffer.epoch, seq, lagging._live.stamp

    with patch.object(LaggingCursors, "reset", reset):
        yield
