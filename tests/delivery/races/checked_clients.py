"""Clients of a hub in this process that follow the client rule, and check what they are sent.

The hub has a real database and a real Redis; only the sockets are lists. A test that runs a viewer calls `work` now and
then: viewers have no thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import orjson

from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.queries import rows
from swallowtail.app.core.queries import snapshot as queries_snapshot
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.fakes import FakeFrame, FakeTransport
from tests.delivery.races.client_rule import Screen, Wire, find_faults
from tests.harness.deployment import Deployment
from tests.harness.waiting import wait_until

#: The position of a subscription that needs a snapshot.
FROM_NOTHING = Since("", 0)


class AnyClients(Protocol):
    """The connections of a hub."""

    def add(self, client_id: str) -> None:
        """Add a connection."""


class AnySubscriptions(Protocol):
    """The subscriptions of a hub."""

    def subscribe(
        self, client_id: str, instance_id: str, since: Since | None, on_start: Callable[[SubscriptionStart], None]
    ) -> None:
        """Start to deliver."""

    def unsubscribe(self, client_id: str, instance_id: str, on_end: Callable[[], None]) -> None:
        """Stop delivering."""

    def disconnect(self, client_id: str) -> None:
        """Remove a connection."""


class AnyHub(Protocol):
    """The parts of a hub that a viewer uses; a broken hub has no more."""

    @property
    def clients(self) -> AnyClients:
        """The connections."""

    @property
    def subscriptions(self) -> AnySubscriptions:
        """The subscriptions."""

    def start(self) -> None:
        """Start."""

    def stop(self) -> None:
        """Stop."""


class Domain:
    """A hub, real or broken, on a deployment's database and Redis, and its viewers."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        reader: type[DatabaseReader] = DatabaseReader,
        hub: Callable[[Any, DatabaseReader, FakeTransport], AnyHub] = Hub,
    ) -> None:
        self.deployment = deployment
        self.settings = deployment.runtime().settings
        self.rt = deployment.runtime()
        self.reader = reader(self.rt.db, self.settings)
        self.transport = FakeTransport()
        self.viewers: list[Viewer] = []
        self._make_hub = hub
        self.hub = hub(self.settings, self.reader, self.transport)

    def __enter__(self) -> Domain:
        self.hub.start()
        return self

    def __exit__(self, *_: object) -> None:
        for viewer in self.viewers:
            viewer.drop()
        self.hub.stop()

    def restart_hub(self) -> None:
        """End the delivery half of the web process and start another; every connection is lost."""
        for viewer in self.viewers:
            viewer.drop()
        self.hub.stop()
        self.hub = self._make_hub(self.settings, self.reader, self.transport)
        self.hub.start()

    def viewer(self, name: str, instance_id: str) -> Viewer:
        """Return a viewer that is connected and has no subscription yet."""
        viewer = Viewer(self, name, instance_id)
        self.viewers.append(viewer)
        viewer.connect()
        return viewer

    def cursors(self) -> int:
        """Return the number of cursors that the hub holds."""
        hub = self.hub
        assert isinstance(hub, Hub)
        return sum(len(stream.intake.groups) for stream in list(hub.streams.by_instance.values()))

    def head(self, instance_id: str) -> tuple[str, int]:
        """Return the epoch and the last number of the log."""
        with self.rt.db.read() as session:
            view = rows.read_instance(session, instance_id)
            return view["epoch"], view["seq"]

    def snapshot(self, instance_id: str) -> Wire:
        """Return the snapshot that a new client would get."""
        with self.rt.db.read() as session:
            limits = queries_snapshot.SnapshotLimits(tasks=1000)
            return queries_snapshot.read_snapshot_rows(session, instance_id, limits).build()

    def settle(self, *viewers: Viewer, timeout: float = 60.0) -> None:
        """Wait until these viewers (by default all) have every event."""
        for viewer in viewers or tuple(self.viewers):
            wait_until(viewer.is_current, f"{viewer.name} is current", timeout=timeout, seen=viewer.last_messages)


class Viewer:
    """One client over all its connections. `log` is what it applied; `screen` is what it shows."""

    def __init__(self, domain: Domain, name: str, instance_id: str) -> None:
        self.domain = domain
        self.name = name
        self.instance_id = instance_id
        self.connections: list[str] = []
        self.position: Since | None = None
        self.log: list[Wire] = []
        self.screen = Screen()
        #: The present connection.
        self.connection: str | None = None
        #: Whether it has a subscription.
        self.is_subscribed = False
        self._read = 0
        self._wants = False

    def connect(self) -> None:
        """Connect again."""
        name = f"{self.name}.{len(self.connections)}"
        self.connections.append(name)
        self.connection, self.is_subscribed = name, False
        self._read = 0
        self.domain.hub.clients.add(name)

    def drop(self) -> None:
        """Lose the connection and the messages in transit."""
        if self.connection is not None:
            self.work(answering=False)
            self.domain.transport.drain(self.connection)
            self.domain.hub.subscriptions.disconnect(self.connection)
            self.connection, self.is_subscribed = None, False

    def subscribe(self, since: Since | None = None) -> None:
        """Subscribe, after `since` or from now on. Raises the hub's errors."""
        assert self.connection is not None
        connection = self.connection

        def on_start(start: SubscriptionStart) -> None:
            shown = {} if start.snapshot is None else {"snapshot": orjson.loads(start.snapshot)}
            wire = {
                **start.wire(),
                **shown,
                "after": since.seq if start.mode == "replay" and since else start.head.seq,
            }
            self._send(connection, "subscribed", wire)

        self.domain.hub.subscriptions.subscribe(connection, self.instance_id, since, on_start)
        self.work()

    def resume(self) -> None:
        """Connect and subscribe if need be, from the last position or from a snapshot."""
        if self.connection is None:
            self.connect()
        self._wants |= not self.is_subscribed
        self.work()

    def unsubscribe(self) -> None:
        """Unsubscribe."""
        assert self.connection is not None
        connection = self.connection
        end_message = {"instance_id": self.instance_id}
        self.domain.hub.subscriptions.unsubscribe(
            connection, self.instance_id, lambda: self._send(connection, "unsubscribed", end_message)
        )

    def work(self, *, answering: bool = True) -> None:
        """Apply received messages by the client rule, and subscribe again if need be."""
        while self.connection is not None:
            arrived = self.messages(self.connection)[self._read :]
            self._read += len(arrived)
            for message in arrived:
                self._receive(message)
            if not self._wants or not answering:
                return
            self._wants = False
            try:
                self.subscribe(self.position or FROM_NOTHING)
            except SwallowtailError:
                self._wants = True
                return

    def is_current(self) -> bool:
        """Apply received messages; return whether the viewer has every event."""
        self.work()
        epoch, seq = self.domain.head(self.instance_id)
        return self.position == Since(epoch, seq)

    def messages(self, connection: str) -> list[FakeFrame]:
        """Return the messages that were sent to a connection."""
        return self.domain.transport.sent.get(connection, [])

    def last_messages(self) -> list[str]:
        """Return the last messages, for failure reports."""
        story = self.domain.transport.story(self.connections[-1])
        return [f"position {self.position}", *story[-12:]]

    def faults(self) -> list[str]:
        """Return the faults in the messages of all connections."""
        return [f"{name}: {fault}" for name in self.connections for fault in find_faults(self.messages(name))]

    def _send(self, connection: str, event: str, payload: Wire) -> None:
        self.domain.transport.send(connection, [self.domain.transport.frame(event, payload)])

    def _receive(self, message: FakeFrame) -> None:
        payload = message.payload
        if message.event == "subscribed":
            if payload["mode"] == "snapshot":
                self.screen = Screen(payload["snapshot"])
            if payload["mode"] != "replay" and (self.position is None or payload["mode"] == "snapshot"):
                self.position = Since(payload["epoch"], payload["head"])
            self._wants, self.is_subscribed = False, True
        elif message.event == "unsubscribed":
            self.is_subscribed = False
        elif message.event == "reset":
            self._wants = payload["reason"] != "revoked"
        elif "id" in payload:
            self._apply(dict(payload))
        elif message.event == "head" and self.position != Since(payload["epoch"], payload["seq"]):
            self._wants = True

    def _apply(self, event: Wire) -> None:
        if self.position is None or event["epoch"] != self.position.epoch or event["seq"] > self.position.seq + 1:
            self._wants = True
        elif event["seq"] == self.position.seq + 1:
            self.position = Since(event["epoch"], event["seq"])
            self.log.append(event)
            self.screen.apply(event)
