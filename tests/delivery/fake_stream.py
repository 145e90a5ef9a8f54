"""Beside the road: one watch on paper, with clients that may see everything or less."""

from __future__ import annotations

from typing import Any

from swallowtail.app.core.security.field_mask import FULL, View
from swallowtail.app.delivery.cursor import Client
from swallowtail.app.delivery.instance_stream import Watch
from swallowtail.app.delivery.wire import Since
from tests.delivery.fakes import INSTANCE, FakeArchive, FakeTransport, hint
from tests.harness.settings import make_settings


class Scene:
    """One watch on paper, moved by hand."""

    def __init__(self, **fields: Any) -> None:
        self.settings = make_settings(**fields)
        self.archive = FakeArchive(self.settings)
        self.transport = FakeTransport()
        self.clients: dict[str, Client] = {}
        self._watch: Watch | None = None

    @property
    def watch(self) -> Watch:
        if self._watch is None:
            self._watch = Watch(INSTANCE, self.archive.head, self.settings, self.archive, self.transport)
        return self._watch

    def join(self, name: str, since: int | None = None, epoch: str | None = None, view: View = FULL) -> str:
        """Subscribe a client; the mode of the answer."""
        position = None if since is None else Since(epoch or self.archive.epoch, since)
        answer = self.archive.read_answer(INSTANCE, position)
        client = self.clients.setdefault(name, Client(name, view=view))
        self.watch.place(client, answer, move=since is not None, greet=lambda _: self.say(name, "subscribed"))
        return answer.mode

    def part(self, name: str) -> None:
        self.watch.remove(self.clients[name], lambda: self.say(name, "unsubscribed"))

    def say(self, name: str, event: str) -> None:
        self.transport.send(name, [self.transport.frame(event, {})])

    def publish(self, count: int = 1, **fields: Any) -> None:
        """Commit events and tell of them."""
        self.watch.hear(hint(self.archive.write(count, **fields)))
        self.watch.turn()

    def check(self) -> None:
        """What the hub does every second."""
        self.watch.check(self.archive.read_heads([INSTANCE]).get(INSTANCE))
        self.watch.turn()

    def story(self, name: str) -> list[str]:
        return self.transport.story(name)
