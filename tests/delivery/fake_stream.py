"""One stream on fake parts, with clients that see everything or less."""

from __future__ import annotations

from typing import Any

from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.streams.instance_stream import InstanceStream
from swallowtail.app.delivery.wire import Since
from tests.delivery.fakes import INSTANCE, FakeReader, FakeTransport, events_message, live_message
from tests.harness.settings import make_settings


class Scene:
    """One stream on fake parts; tests run each of its turns."""

    def __init__(self, **fields: Any) -> None:
        self.settings = make_settings(**fields)
        self.reader = FakeReader(self.settings)
        self.transport = FakeTransport()
        self.clients: dict[str, Client] = {}
        self._stream: InstanceStream | None = None

    @property
    def stream(self) -> InstanceStream:
        if self._stream is None:
            self._stream = InstanceStream(INSTANCE, self.reader.head, self.settings, self.reader, self.transport)
        return self._stream

    def join(self, name: str, since: int | None = None, epoch: str | None = None, view: FieldMask = FULL) -> str:
        """Subscribe a client; return the mode of its start."""
        position = None if since is None else Since(epoch or self.reader.epoch, since)
        start = self.reader.read_start(INSTANCE, position)
        client = self.clients.setdefault(name, Client(name, view=view))
        self.stream.admission.admit(
            client, start, move=since is not None, on_start=lambda _: self.say(name, "subscribed")
        )
        return start.mode

    def part(self, name: str) -> None:
        self.stream.admission.remove(self.clients[name], lambda: self.say(name, "unsubscribed"))

    def say(self, name: str, event: str) -> None:
        self.transport.send(name, [self.transport.frame(event, {})])

    def publish(self, count: int = 1, **fields: Any) -> None:
        """Commit events and publish them."""
        self.stream.receive(events_message(self.reader.write(count, **fields)))
        self.stream.turn()

    def publish_live_to_slow_client(self) -> None:
        """Publish 1 to 50 percent to `fast`, and to `slow`, which receives nothing until the end."""
        self.join("slow")
        self.join("fast")
        self.publish()
        self.transport.stall("slow")
        self.transport.waiting["slow"] = 16
        for percent in range(1, 51):
            self.stream.receive(live_message(percent, base=1, rev=percent))
            self.stream.turn()
        self.transport.drain("slow")
        self.stream.turn()

    def check(self) -> None:
        """Compare with the database, as the hub does every second."""
        self.stream.check(self.reader.read_heads([INSTANCE]).get(INSTANCE))
        self.stream.turn()

    def story(self, name: str) -> list[str]:
        return self.transport.story(name)
