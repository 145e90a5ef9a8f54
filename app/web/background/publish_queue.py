"""Publishing without waiting: hands committed events to a thread that tells Redis. On the road, between `core/ledger/tasks`
and `core/ledger/publisher` in a web process, so that no request ever waits for Redis.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence

from prometheus_client import Counter

from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.publisher import Broadcaster

#: Transactions that may wait for a slow Redis. Beyond it hints are dropped, and the hubs find the events themselves.
BACKLOG = 1000

DROPPED = Counter("swallowtail_announcements_dropped_total", "Transactions whose hint was dropped since Redis was slow")


class PublishQueue:
    """The `announce` of a web process's ledger. Its thread begins with the first event."""

    def __init__(self, broadcaster: Broadcaster) -> None:
        self._broadcaster = broadcaster
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(BACKLOG)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def announce(self, events: Sequence[EventRecord]) -> None:
        """Take the events of one transaction; returns at once."""
        self._leave(lambda: self._broadcaster.publish(events))

    def announce_access(self) -> None:
        """Take the news that somebody's access has changed; returns at once."""
        self._leave(self._broadcaster.publish_access)

    def _leave(self, publish: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(publish)
        except queue.Full:
            DROPPED.inc()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._publish_forever, name="announcer", daemon=True)
                self._thread.start()

    def close(self, timeout: float = 1.0) -> None:
        """Publish what waits, for at most `timeout` seconds, and end the thread."""
        with self._lock:
            thread = self._thread
        if thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=timeout)
            thread.join(timeout)

    def _publish_forever(self) -> None:
        while (publish := self._waiting.get()) is not None:
            publish()
