"""The connected clients of one web process, and what each of them is subscribed to."""

from __future__ import annotations

import threading

from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.security.actors import OPEN, Actor
from swallowtail.app.core.security.field_mask import view_of
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.metrics import CLIENTS


class ClientRegistry:
    """Clients by connection. Safe for threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        #: An innermost lock: its holder waits for nothing and sends nothing.
        self._lock = threading.Lock()
        self.by_id: dict[str, Client] = {}

    def add(self, client_id: str, actor: Actor = OPEN) -> None:
        """Add a new connection of an actor."""
        client = Client(
            client_id, connection=self._transport.find_connection(client_id), actor=actor, view=view_of(actor)
        )
        with self._lock:
            self.by_id[client_id] = client
        CLIENTS.set(len(self.by_id))

    def remove(self, client_id: str) -> Client | None:
        """Remove a connection, and return its client, which nothing more is recorded for."""
        with self._lock:
            client = self.by_id.pop(client_id, None)
            if client is not None:
                client.closed = True
        CLIENTS.set(len(self.by_id))
        return client

    def find(self, client_id: str) -> Client:
        """Return a connection's client. Raises NotFound when the connection is closed."""
        with self._lock:
            client = self.by_id.get(client_id)
        if client is None or client.ended:
            raise NotFound("this connection is closed")
        return client

    def find_restricted(self) -> list[Client]:
        """Return the clients whose access can change."""
        with self._lock:
            return [client for client in self.by_id.values() if not client.actor.is_trusted]

    def record_instance(self, client: Client, instance_id: str) -> bool:
        """Record a subscription; returns False when the client is closed, so that the caller undoes it."""
        with self._lock:
            if instance_id not in client.instances:
                client.instances.append(instance_id)
            return not client.closed

    def record_task(self, client: Client, task_id: str, instance_id: str) -> bool:
        """Record that a client reads a task's text; returns False when the client is closed."""
        with self._lock:
            client.tasks[task_id] = instance_id
            return not client.closed
