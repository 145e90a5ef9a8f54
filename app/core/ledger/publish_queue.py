"""Stop 9 of 12: Publishes one process's signals to Redis from a thread, in the order in which they were sent.

A writer never waits for Redis. If a slow Redis makes the queue drop messages, the head check of the web processes
notices that.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable, Sequence

from prometheus_client import Counter

from swallowtail import signals
from swallowtail.app.core.events import EventRecord, LiveState, StepText
from swallowtail.app.core.ledger.publisher import Broadcaster

#: Messages that may wait for a slow Redis; more are dropped.
BACKLOG = 1000

DROPPED = Counter("swallowtail_announcements_dropped_total", "Transactions whose hint was dropped since Redis was slow")


class PublishQueue:
    """Receives the public signals and publishes them. Its thread starts with the first message."""

    def __init__(self, broadcaster: Broadcaster, sender: object) -> None:
        """`sender` is the database whose committed events are published; other signals have any sender."""
        self._broadcaster = broadcaster
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(BACKLOG)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        # Signals refer to these weakly.
        signals.event_recorded.connect(self._receive_events, sender)
        signals.progressed.connect(self._receive_progress)
        signals.text_produced.connect(self._receive_text)

    def publish_access(self) -> None:
        """Publish that permissions have changed; returns at once."""
        self._put(self._broadcaster.publish_access)

    def close(self, timeout: float = 1.0) -> None:
        """Publish queued messages for at most `timeout` seconds, and end the thread."""
        signals.event_recorded.disconnect(self._receive_events)
        signals.progressed.disconnect(self._receive_progress)
        signals.text_produced.disconnect(self._receive_text)
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=timeout)
                thread.join(timeout)

    def _receive_events(self, sender: object, events: Sequence[EventRecord]) -> None:
        self._put(lambda: self._broadcaster.publish(events))

    def _receive_progress(self, sender: object, state: LiveState) -> None:
        self._put(lambda: self._broadcaster.publish_live(state))

    def _receive_text(self, sender: object, text: StepText) -> None:
        self._put(lambda: self._broadcaster.publish_text(text))

    def _put(self, publish: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(publish)
        except queue.Full:
            DROPPED.inc()
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                # Not in the context of a run, which the thread outlives.
                run = contextvars.Context().run
                self._thread = threading.Thread(target=run, args=(self._run,), name="publisher", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (publish := self._waiting.get()) is not None:
            publish()
