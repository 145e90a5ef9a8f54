"""Starts and ends the subscriptions of this process's clients to instances and to the text of tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakValueDictionary

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import WHEN_FULL, Forbidden, TooMany
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.client_registry import ClientRegistry
from swallowtail.app.delivery.clients.permission_cache import PermissionCache
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.log.snapshot_cache import SnapshotCache
from swallowtail.app.delivery.metrics import RESETS, SNAPSHOTS
from swallowtail.app.delivery.streams.instance_stream import InstanceStream
from swallowtail.app.delivery.streams.stream_registry import StreamRegistry
from swallowtail.app.delivery.streams.text_streams import TextStreams
from swallowtail.app.delivery.wire import RESET, Reason, Since, SubscriptionStart, reset_payload

OnStart = Callable[[SubscriptionStart], None]


class Subscriptions:
    """The subscriptions of one web process. Safe for threads."""

    def __init__(
        self,
        settings: Settings,
        reader: DatabaseReader,
        transport: Transport,
        clients: ClientRegistry,
        permissions: PermissionCache,
        streams: StreamRegistry,
        texts: TextStreams,
        snapshots: SnapshotCache,
    ) -> None:
        self._most = settings.max_subscriptions
        self._reader = reader
        self._transport = transport
        self._clients = clients
        self._permissions = permissions
        self._streams = streams
        self._texts = texts
        self._snapshots = snapshots
        #: One client at a time looks up an instance, and the others find its result. A lock is here while it is used.
        self._lookups: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._lookups_lock = threading.Lock()

    def subscribe(self, client_id: str, instance_id: str, since: Since | None, on_start: OnStart) -> None:
        """Start to deliver an instance to a client, after `since` or from now on.

        `on_start` is called before anything that follows the start is sent. A client that is subscribed already
        continues where it stands, or after `since` if that is set. Raises NotFound for a hidden or missing instance or
        a closed connection, Unauthenticated, Forbidden, TooMany when it has all its subscriptions, Unavailable.
        """
        client = self._clients.find(client_id)
        version = self._permissions.authorize(client.actor, instance_id)
        if self.subscribe_now(client_id, instance_id, since, on_start):
            return
        with self._lookups_lock:
            lookup = self._lookups.setdefault(instance_id, threading.Lock())
        with lookup:
            # A client that reconnected at the same time may have started the stream or read a snapshot meanwhile.
            if self.subscribe_now(client_id, instance_id, since, on_start):
                return
            client = self._clients.find(client_id)
            start = self._reader.read_start(instance_id, since, client.view)
            if start.snapshot is not None:
                SNAPSHOTS.labels("read").inc()
                if client.view.is_full:
                    self._snapshots.keep(start)
            stream = self._streams.find_or_start(instance_id, start)
            try:
                stream.admission.admit(client, start, move=since is not None, on_start=on_start)
                self._record(client, stream, version)
            finally:
                self._streams.release(stream)
            stream.wake()

    def subscribe_now(self, client_id: str, instance_id: str, since: Since | None, on_start: OnStart) -> bool:
        """Do what `subscribe` does if that needs no read; returns whether it did. Does not block; raises likewise."""
        client = self._clients.find(client_id)
        version = self._permissions.version
        if not self._permissions.allows(client.actor, instance_id):
            return False
        self._check_number(client, instance_id in client.instances)
        stream = self._streams.find(instance_id)
        if stream is None:
            return False
        try:
            snapshot = self._snapshots.find(instance_id, since) if client.view.is_full else None
            if not stream.admission.admit_now(client, since, snapshot=snapshot, on_start=on_start):
                return False
            self._record(client, stream, version)
        finally:
            self._streams.release(stream)
        return True

    def resume(self, client_id: str) -> None:
        """Continue with a client that takes messages again."""
        client = self._clients.by_id.get(client_id)
        for instance_id in list(client.instances) if client is not None else ():
            if (stream := self._streams.by_instance.get(instance_id)) is not None:
                stream.wake()

    def unsubscribe(self, client_id: str, instance_id: str, on_end: Callable[[], None]) -> None:
        """Stop delivering an instance to a client. Nothing of it follows `on_end`, which is called in any case."""
        self._end(self._clients.find(client_id), instance_id, on_end)

    def subscribe_task(self, client_id: str, task_id: str, on_start: Callable[[], None]) -> None:
        """Start to deliver a task's text to a client, after `on_start`. Raises as `subscribe`."""
        client = self._clients.find(client_id)
        self._check_number(client, task_id in client.tasks)
        version = self._permissions.version
        instance_id = self._reader.authorize_task(client.actor, task_id)
        if not client.view.shows_text:
            raise Forbidden("this token does not show the text of steps")
        on_start()
        is_first = self._texts.add(client, task_id)
        is_here = self._clients.record_task(client, task_id, instance_id)
        self._permissions.confirm(version)
        if is_first:
            self._texts.listen(task_id)
        if not is_here:
            self._texts.remove(client, task_id)

    def unsubscribe_task(self, client_id: str, task_id: str) -> None:
        """Stop delivering a task's text to a client."""
        client = self._clients.find(client_id)
        client.tasks.pop(task_id, None)
        self._texts.remove(client, task_id)

    def disconnect(self, client_id: str) -> None:
        """Remove a connection with all its subscriptions. May be called in the middle of a send."""
        client = self._clients.remove(client_id)
        if client is None:
            return
        for instance_id in list(client.instances):
            if (stream := self._streams.by_instance.get(instance_id)) is not None:
                stream.leave(client)
        for task_id in list(client.tasks):
            self._texts.remove(client, task_id)

    def withdraw(self, client: Client, instance_id: str, reason: Reason) -> list[str]:
        """Send a client `reset`, and nothing more of an instance; returns the tasks whose text it read."""
        frame = self._transport.frame(RESET, reset_payload(instance_id, reason))
        tasks = [task_id for task_id, its in list(client.tasks.items()) if its == instance_id]
        for task_id in tasks:
            client.tasks.pop(task_id, None)
            self._texts.remove(client, task_id)
        RESETS.labels(reason).inc()
        self._end(client, instance_id, lambda: self._transport.send(client.id, [frame]))
        return tasks

    def _end(self, client: Client, instance_id: str, on_end: Callable[[], None]) -> None:
        stream = None
        # Only if it is there: another thread may be about to record a new subscription.
        with suppress(ValueError):
            client.instances.remove(instance_id)
            stream = self._streams.by_instance.get(instance_id)
        if stream is None:
            on_end()
        else:
            stream.admission.remove(client, on_end)

    def _record(self, client: Client, stream: InstanceStream, version: int) -> None:
        is_here = self._clients.record_instance(client, stream.instance_id)
        self._permissions.confirm(version)
        if not is_here:
            stream.leave(client)

    def _check_number(self, client: Client, is_known: bool) -> None:
        if not is_known and len(client.instances) + len(client.tasks) >= self._most:
            raise TooMany(f"at most {self._most} instances and tasks can be watched at once", retry_after=WHEN_FULL)
