"""Beside the road: one web process's hub and monitor on a real database, with lists for sockets, moved by hand.

Nobody looks at anybody unless a test says so, and a test can say what happens in the middle of a question.
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
from swallowtail.app.core.ledger.tasks import NewTask
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.permissions import Actor
from swallowtail.app.delivery.access_monitor import AccessMonitor, EndReason
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.fakes import FakeTransport, hint

Deed = Callable[[], object]


def nothing() -> None:
    """Happen, and change nothing."""


class Interruptible(DatabaseReader):
    """Has something happen after a question was answered and before anybody acts on the answer; once."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.meanwhile: Deed = nothing
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
        deed, self.meanwhile = self.meanwhile, nothing
        deed()


class Process:
    """A hub and its monitor. `requests` counts the requests for a review; `rooms` are those of other programs."""

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
        #: Happens to whoever is expelled, before they are.
        self.before_expulsion: Callable[[str], object] = lambda client: None
        #: What happens after it was found out whose token has ended.
        self.meanwhile: Deed = nothing

    def request_review(self) -> None:
        self.requests += 1
        self.due.set()

    def find_ended(self, actors: Collection[Actor]) -> Mapping[Actor, EndReason]:
        ended = self.tokens.find_ended(actors)
        deed, self.meanwhile = self.meanwhile, nothing
        deed()
        return ended

    def hear(self, events: Sequence[EventRecord]) -> None:
        """Hear of events as if Redis had told of them: what a ledger may `announce` to."""
        self.hub.router.receive(instance_channel(self.rt.settings, events[0].instance_id), hint(events))

    def connect(self, client: str, token: str, **more: Any) -> Actor:
        """Let a client in by its token; whom it stands for, changed by `more` if need be."""
        actor = replace(self.tokens.read(token), **more)
        self.hub.clients.add(client, actor)
        return actor

    def subscribe(self, client: str, since: Since | None = None, *, greeting: Deed = nothing) -> None:
        """Subscribe to the instance `mine`, in the order of `web/socketio/handlers`."""

        def greet(answer: SubscriptionStart) -> None:
            if self.hub.clients.find(client).view.is_full:
                self.rooms.add((client, "mine"))
            self.say(client, "subscribed")
            greeting()

        if not self.hub.subscriptions.subscribe_now(client, "mine", since, greet):
            self.hub.subscriptions.subscribe(client, "mine", since, greet)

    def read_along(self, client: str, task_id: str) -> None:
        """Subscribe to a task's text."""
        self.hub.subscriptions.subscribe_task(client, task_id, lambda: self.rooms.add((client, task_id)))

    def leave_rooms(self, client_id: str, instance_id: str, task_ids: Sequence[str]) -> None:
        """See `Reach`."""
        self.rooms -= {(client_id, room) for room in (instance_id, *task_ids)}

    def warn(self, client_id: str, expires_at: datetime) -> None:
        """See `Reach`."""
        self.say(client_id, "warned")

    def expel(self, client_id: str, why: EndReason) -> None:
        """See `Reach`."""
        self.before_expulsion(client_id)
        self.say(client_id, f"expelled: {why}")
        self.rooms = {(client, room) for client, room in self.rooms if client != client_id}
        self.hub.subscriptions.disconnect(client_id)

    def say(self, client: str, event: str) -> None:
        self.transport.send(client, [self.transport.frame(event, {})])

    def story(self, client: str) -> list[str]:
        """What a client was told: see `FakeTransport.story`. Whatever is being sent has been sent."""
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
    task, _, _ = rt.ledger.submit(NewTask("mine", "echo", "Told", {}, fingerprint=""))
    return task.id
