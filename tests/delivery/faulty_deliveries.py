"""Deliberately broken deliveries: what the races must catch. Each is a mistake that somebody could make."""

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
from swallowtail.app.core.ledger.publisher import connect, instance_channel
from swallowtail.app.delivery.client_group import Audience
from swallowtail.app.delivery.database_reader import Archive, Page
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.instance_stream import Watch
from swallowtail.app.delivery.wire import Answer, Since
from tests.delivery.fakes import FakeTransport


class RoomHub:
    """Passes on what Redis brings to whoever is in the room: no numbers, no database. What most systems do."""

    def __init__(self, settings: Settings, archive: Archive, transport: FakeTransport) -> None:
        self._settings = settings
        self._archive = archive
        self._transport = transport
        self._rooms: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._client = connect(settings)
        self._pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call] # the library has no type here
        self._pubsub.psubscribe(instance_channel(settings, "*"))
        assert self._pubsub.get_message(timeout=30) is not None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._pubsub.close()
        self._client.close()

    def enter(self, client_id: str) -> None:
        pass

    def leave(self, client_id: str) -> None:
        with self._lock:
            for room in self._rooms.values():
                room.discard(client_id)

    def subscribe(self, client_id: str, instance_id: str, since: Since | None, greet: Callable[[Answer], None]) -> None:
        answer = self._archive.read_answer(instance_id, since)
        greet(answer)
        for event in self._archive.read_page(instance_id, answer.seq).events:
            self._transport.send(client_id, [self._transport.frame(event.type, event.wire())])
        # Between the reading and the joining, events pass by unheard.
        with self._lock:
            self._rooms.setdefault(instance_id, set()).add(client_id)

    def unsubscribe(self, client_id: str, instance_id: str, farewell: Callable[[], None]) -> None:
        self.leave(client_id)
        farewell()

    def _run(self) -> None:
        prefix = instance_channel(self._settings, "")
        while not self._stopping.is_set():
            with suppress(redis.RedisError, OSError):
                message = self._pubsub.get_message(timeout=0.1)
                if message is not None and message["type"] == "pmessage":
                    self._pass_on(message["channel"].decode().removeprefix(prefix), orjson.loads(message["data"]))

    def _pass_on(self, instance_id: str, told: dict[str, Any]) -> None:
        with self._lock:
            for client_id in self._rooms.get(instance_id, ()):
                for wire in told.get("events", ()):
                    self._transport.send(client_id, [self._transport.frame(wire["type"], wire)])


class LateArchive(Archive):
    """Says where the log stands, and begins to deliver from where it stands a little later."""

    def read_answer(self, instance_id: str, since: Since | None) -> Answer:
        answer = super().read_answer(instance_id, since)
        until = time.monotonic() + 5
        while (later := super().read_answer(instance_id, None)).seq == answer.head.seq and time.monotonic() < until:
            time.sleep(0.001)
        return replace(answer, seq=later.seq)


class FixedArchive(Archive):
    """Never notices that the log has moved unless it is told: the head check compares with yesterday's head."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.checks = 0
        self._known: dict[str, Head] = {}

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        for instance_id, head in super().read_heads(instance_ids).items():
            self._known.setdefault(instance_id, head)
        self.checks += 1
        return {instance_id: self._known[instance_id] for instance_id in instance_ids if instance_id in self._known}


class EpochBlindArchive(Archive):
    """Knows numbers only: the epoch is always the first one it saw."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.checks = 0
        self._epoch: str | None = None

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        self.checks += 1
        return {name: self._blind(head) for name, head in super().read_heads(instance_ids).items()}

    def read_page(self, instance_id: str, after: int) -> Page:
        page = super().read_page(instance_id, after)
        return page if page.head is None else replace(page, head=self._blind(page.head))

    def read_answer(self, instance_id: str, since: Since | None) -> Answer:
        answer = super().read_answer(instance_id, None if since is None else self._translate(instance_id, since))
        return replace(answer, head=self._blind(answer.head))

    def _translate(self, instance_id: str, since: Since) -> Since:
        real = super().read_answer(instance_id, None).head.epoch
        return replace(since, epoch=real) if since.epoch == self._epoch else since

    def _blind(self, head: Head) -> Head:
        self._epoch = self._epoch or head.epoch
        return replace(head, epoch=self._epoch)


class ForgetfulHub(Hub):
    """Ends what a connection has when it drops, and forgets that it may be about to get more."""

    def leave(self, client_id: str) -> None:
        with self._lock:
            client = self._clients.pop(client_id, None)
            watches = [] if client is None else list(client.watches.values())
        for watch in watches:
            assert client is not None
            watch.leave(client)


class TalkativeHub(Hub):
    """Says goodbye first and stops delivering afterwards."""

    def unsubscribe(self, client_id: str, instance_id: str, farewell: Callable[[], None]) -> None:
        farewell()
        transport = self._transport
        assert isinstance(transport, FakeTransport)
        had, until = len(transport.sent.get(client_id, ())), time.monotonic() + 5
        while len(transport.sent.get(client_id, ())) == had and time.monotonic() < until:
            time.sleep(0.001)
        super().unsubscribe(client_id, instance_id, lambda: None)


@contextmanager
def silent_skips() -> Iterator[None]:
    """Watches that step over what is no longer stored without a word."""

    def skip(watch: Watch, after: int, before: int) -> None:
        ring, audience = watch._ring, watch._audience._full
        if after <= ring.last < before:
            ring.begin_anew(ring.epoch, before)
        audience._disperse()
        for cursor in list(audience._stragglers.values()):
            if after <= cursor.seq < before:
                cursor.seq = before

    with patch.object(Watch, "_skip", skip):
        yield


@contextmanager
def silent_epochs() -> Iterator[None]:
    """Audiences that go on in another epoch without a word."""

    def reset(audience: Audience, cursor: Any, reason: str, seq: int) -> None:
        cursor.epoch, cursor.seq, cursor.stamp = audience._ring.epoch, seq, audience._live.stamp

    with patch.object(Audience, "reset", reset):
        yield
