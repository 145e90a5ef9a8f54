"""The delivery half of one web process on a real database, with lists for sockets; tests run each step.

Clients are reviewed only when a test does so, and a test can interrupt a read of the database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.ledger.publisher import instance_channel
from swallowtail.app.core.ledger.tasks import CheckedTask
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.delivery.access_monitor import AccessMonitor, EndReason
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.fakes import FakeTransport, events_message

Action = Callable[[], object]


def nothing() -> None:
    """Do nothing."""


class Interruptible(DatabaseReader):
    """Runs an action after a read of the database and before its result is used; once."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.meanwhile: Action = nothing
        self.away = False

    def authorize_instance(self, actor: Actor, instance_id: str) -> int:
        version = super().authorize_instance(actor, instance_id)
        self._interrupt()
        return version

    def authorize_task(self, actor: Actor, task_id: str) -> str:
        instance_id = super().authorize_task(actor, task_id)
        self._interrupt()
        return instance_id

    def read_permission_version(self) -> int:
        if self.away:
            raise Unavailable("the database is away")
        return super().read_permission_version()

    def _interrupt(self) -> None:
        action, self.meanwhile = self.meanwhile, nothing
        action()


class Process:
    """A hub and its monitor. `requests` counts the requests for a review; `rooms` are the Socket.IO rooms."""

    def __init__(self, rt: Runtime, tokens: Tokens, due: threading.Event | None = None) -> None:
        self.rt = rt
        self.tokens = tokens
        self.transport = FakeTransport()
        self.reader = Interruptible(rt.db, rt.settings)
        self.hub = Hub(rt.settings, self.reader, self.transport, self.request_review)
        self.due = due or threading.Event()
        self.monitor = AccessMonitor(rt.settings, self.hub, self.reader, self.find_ended, self, self.due)
        self.requests = 0
        self.rooms: set[tuple[str, str]] = set()
        #: Runs before a client is expelled.
        self.before_expulsion: Callable[[str], object] = lambda client: None
        #: Runs after the ended tokens were found.
        self.meanwhile: Action = nothing

    def request_review(self) -> None:
        self.requests += 1
        self.due.set()

    def find_ended(self, actors: Collection[Actor]) -> Mapping[Actor, EndReason]:
        ended = self.tokens.find_ended(actors)
        action, self.meanwhile = self.meanwhile, nothing
        action()
        return ended

    def receive(self, events: Sequence[EventRecord]) -> None:
        """Receive events as if from Redis: what a ledger may `announce` to."""
        self.hub.router.receive(instance_channel(self.rt.settings, events[0].instance_id), events_message(events))

    def connect(self, client: str, token: str, **more: Any) -> Actor:
        """Connect a client by its token; returns its actor, with the fields `more` replaced."""
        actor = replace(self.tokens.read(token), **more)
        self.hub.clients.add(client, actor)
        return actor

    def subscribe(self, client: str, since: Since | None = None, *, then: Action = nothing) -> None:
        """Subscribe to the instance `mine`, as the handlers do; `then` runs before the subscription is recorded."""

        def on_start(start: SubscriptionStart) -> None:
            if self.hub.clients.find(client).view.is_full:
                self.rooms.add((client, "mine"))
            self.say(client, "subscribed")
            then()

        if not self.hub.subscriptions.subscribe_now(client, "mine", since, on_start):
            self.hub.subscriptions.subscribe(client, "mine", since, on_start)

    def read_along(self, client: str, task_id: str) -> None:
        """Subscribe to a task's text."""
        self.hub.subscriptions.subscribe_task(client, task_id, lambda: self.rooms.add((client, task_id)))

    def leave_rooms(self, client_id: str, instance_id: str, task_ids: Sequence[str]) -> None:
        """See `Connections`."""
        self.rooms -= {(client_id, room) for room in (instance_id, *task_ids)}

    def warn(self, client_id: str, expires_at: datetime) -> None:
        """See `Connections`."""
        self.say(client_id, "warned")

    def expel(self, client_id: str, reason: EndReason) -> None:
        """See `Connections`."""
        self.before_expulsion(client_id)
        self.say(client_id, f"expelled: {reason}")
        self.rooms = {(client, room) for client, room in self.rooms if client != client_id}
        self.hub.subscriptions.disconnect(client_id)

    def say(self, client: str, event: str) -> None:
        self.transport.send(client, [self.transport.frame(event, {})])

    def story(self, client: str) -> list[str]:
        """What a client was sent: see `FakeTransport.story`. Every stream delivers first."""
        for stream in list(self.hub.streams.by_instance.values()):
            stream.turn()
        return self.transport.story(client)

    def close(self) -> None:
        self.monitor.stop()
        self.hub.stop()
        for client in list(self.hub.clients.by_id):
            self.hub.subscriptions.disconnect(client)


def write(rt: Runtime) -> str:
    """Commit one event in the instance `mine`: a new task; its id."""
    task, _, _ = rt.ledger.submit(CheckedTask("mine", "echo", "Task", {}, fingerprint=""))
    return task.id
