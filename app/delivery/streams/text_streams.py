"""Passes the streamed text of tasks on to the clients that read it.

A slow reader misses pieces, notices by their offsets, and finds the whole text in the step's durable event.
"""

from __future__ import annotations

import threading
from typing import Any

import orjson

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.events import STEP_OUTPUT
from swallowtail.app.core.ledger.publisher import task_channel
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.metrics import DELIVERED, MESSAGES
from swallowtail.app.delivery.redis.subscriber import Subscriber


class TextStreams:
    """The readers of each task's text in this process. Safe for threads."""

    def __init__(self, settings: Settings, transport: Transport, subscriber: Subscriber) -> None:
        self._settings = settings
        self._transport = transport
        self._subscriber = subscriber
        # Held while a piece is sent, so that none follows an unsubscription. A send may end in a client's departure.
        self._lock = threading.RLock()
        self._readers: dict[str, dict[str, Client]] = {}

    def add(self, client: Client, task_id: str) -> bool:
        """Add a reader; returns whether it is the task's first, whose caller then calls `listen`."""
        with self._lock:
            readers = self._readers.setdefault(task_id, {})
            readers[client.id] = client
            return len(readers) == 1

    def listen(self, task_id: str) -> None:
        """Subscribe to a task's channel."""
        self._subscriber.add(task_channel(self._settings, task_id))

    def remove(self, client: Client, task_id: str) -> None:
        """Remove a reader, and the subscription to the task's channel with the last one."""
        with self._lock:
            readers = self._readers.get(task_id, {})
            if readers.pop(client.id, None) is None or readers:
                return
            del self._readers[task_id]
        self._subscriber.discard(task_channel(self._settings, task_id), lambda: self.has_readers(task_id))

    def has_readers(self, task_id: str) -> bool:
        """Return whether any client reads a task's text here."""
        with self._lock:
            return task_id in self._readers

    def receive(self, task_id: str, message: bytes) -> None:
        """Send a piece of text to the task's readers."""
        wire = _read_text(message, task_id)
        if wire is None:
            MESSAGES.labels("unreadable").inc()
            return
        with self._lock:
            readers = list(self._readers.get(task_id, {}).values())
            if readers:
                self._transport.send_to_all(readers, [self._transport.frame(STEP_OUTPUT, wire)])
                DELIVERED.labels("text").inc(len(readers))


def _read_text(message: bytes, task_id: str) -> dict[str, Any] | None:
    try:
        wire: dict[str, Any] = orjson.loads(message)["text"]
        return wire if wire["task_id"] == task_id else None
    except (ValueError, KeyError, TypeError):
        return None
