"""Publishes committed events to Redis from a thread, so that no request of a web process waits for Redis."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Sequence

from prometheus_client import Counter

from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.publisher import Broadcaster
from swallowtail.app.web.background.lazy_thread import LazyThread

#: Most transactions that wait for a slow Redis. Above it publications are dropped; the hubs read the events themselves.
BACKLOG = 1000

DROPPED = Counter(
    "swallowtail_announcements_dropped_total", "Transactions that were not published because Redis was slow"
)


class PublishQueue:
    """The publications of one web process. Its thread starts with the first event."""

    def __init__(self, broadcaster: Broadcaster) -> None:
        self._broadcaster = broadcaster
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(BACKLOG)
        self._thread = LazyThread("announcer", self._publish_forever)

    def announce(self, events: Sequence[EventRecord]) -> None:
        """Enqueue the events of one transaction; returns at once."""
        self._enqueue(lambda: self._broadcaster.publish(events))

    def announce_access(self) -> None:
        """Enqueue the message that permissions have changed; returns at once."""
        self._enqueue(self._broadcaster.publish_access)

    def close(self, timeout: float = 1.0) -> None:
        """Publish what is queued, for at most `timeout` seconds, and end the thread."""
        self._thread.stop(lambda: self._enqueue_end(timeout), timeout)

    def _enqueue(self, publish: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(publish)
        except queue.Full:
            DROPPED.inc()
        self._thread.start()

    def _enqueue_end(self, timeout: float) -> None:
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=timeout)

    def _publish_forever(self) -> None:
        while (publish := self._waiting.get()) is not None:
            publish()
