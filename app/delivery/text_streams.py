"""Streamed text of tasks: passed on to those who read along, and to nobody else. Beside the numbered road.

Text is live state: a reader that takes it too slowly misses pieces, sees so by their offsets, and finds the whole text
in the step's durable event.
"""

from __future__ import annotations

import threading
from typing import Any

import orjson

from swallowtail.app.core.events import STEP_OUTPUT
from swallowtail.app.delivery.cursor import Client
from swallowtail.app.delivery.metrics import DELIVERED, HINTS
from swallowtail.app.delivery.wire import Transport


class Texts:
    """Who reads which task's text in this process."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        # Held while a piece is sent, so that none follows a goodbye. A send may end in somebody's leaving.
        self._lock = threading.RLock()
        self._readers: dict[str, dict[str, Client]] = {}

    def join(self, client: Client, task_id: str) -> bool:
        """Let a client read along; tells whether it is the task's first reader."""
        with self._lock:
            readers = self._readers.setdefault(task_id, {})
            readers[client.id] = client
            return len(readers) == 1

    def leave(self, client: Client, task_id: str) -> bool:
        """Let a client go; tells whether it was the task's last reader."""
        with self._lock:
            readers = self._readers.get(task_id, {})
            if readers.pop(client.id, None) is None or readers:
                return False
            del self._readers[task_id]
            return True

    def has_readers(self, task_id: str) -> bool:
        """Tell whether anybody reads a task's text here."""
        with self._lock:
            return task_id in self._readers

    def hear(self, task_id: str, message: bytes) -> None:
        """Pass a piece of text on."""
        wire = _read_text(message, task_id)
        if wire is None:
            HINTS.labels("unreadable").inc()
            return
        with self._lock:
            readers = list(self._readers.get(task_id, {}).values())
            if readers:
                self._transport.spread(readers, [self._transport.frame(STEP_OUTPUT, wire)])
                DELIVERED.labels("text").inc(len(readers))


def _read_text(message: bytes, task_id: str) -> dict[str, Any] | None:
    try:
        wire: dict[str, Any] = orjson.loads(message)["text"]
        return wire if wire["task_id"] == task_id else None
    except (ValueError, KeyError, TypeError):
        return None
