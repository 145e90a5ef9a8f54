"""Stop 9 of 12: Publishes one process's signals to Redis from a thread, in the order in which they were sent.

A writer of events never waits for Redis. If a slow Redis makes the queue drop events, the head check of the web
processes notices that. A run that produces text faster than Redis takes it waits a moment for each piece.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from prometheus_client import Counter

from swallowtail import signals
from swallowtail.app.core.events import EventRecord, LiveState, TextPiece
from swallowtail.app.core.ledger.publisher import Broadcaster

log = structlog.get_logger(__name__)

#: Messages that may wait for a slow Redis; more events are dropped.
BACKLOG = 1000
#: Messages behind which text and live progress may queue: they leave most of the backlog to events.
TEXT_BACKLOG = 100

DROPPED = Counter("swallowtail_announcements_dropped_total", "Transactions whose hint was dropped since Redis was slow")

Publish = Callable[[], None]


class PublishQueue:
    """Receives the public signals and publishes them. Its thread starts with the first message."""

    def __init__(
        self, broadcaster: Broadcaster, sender: object, *, text_wait: float = 1.0, has_thread: bool = True
    ) -> None:
        """`sender` is the database whose committed events are published; other signals have any sender.

        Text and live progress wait up to `text_wait` seconds for space in the queue. Without a thread, the caller
        publishes.
        """
        self._broadcaster = broadcaster
        self._text_wait = text_wait
        self._has_thread = has_thread
        self._waiting: deque[Publish | None] = deque()
        self._changed = threading.Condition()
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
        with self._changed:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._waiting.append(None)
                self._changed.notify_all()
        if thread is not None:
            thread.join(timeout)

    def _receive_events(self, sender: object, events: Sequence[EventRecord]) -> None:
        self._put(lambda: self._broadcaster.publish(events))

    def _receive_progress(self, sender: object, state: LiveState) -> None:
        self._put(lambda: self._broadcaster.publish_live(state), TEXT_BACKLOG, self._text_wait)

    def _receive_text(self, sender: object, text: TextPiece) -> None:
        self._put(lambda: self._broadcaster.publish_text(text), TEXT_BACKLOG, self._text_wait)

    def _put(self, publish: Publish, backlog: int = BACKLOG, wait: float = 0.0) -> None:
        if not self._has_thread:
            _publish(publish)
            return
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._waiting) < backlog, wait):
                DROPPED.inc()
                return
            self._waiting.append(publish)
            self._changed.notify_all()
            if self._thread is None:
                # Not in the context of a run, which the thread outlives.
                run = contextvars.Context().run
                self._thread = threading.Thread(target=run, args=(self._run,), name="publisher", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (publish := self._take()) is not None:
            _publish(publish)

    def _take(self) -> Publish | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            self._changed.notify_all()
            return self._waiting.popleft()


def _publish(publish: Publish) -> None:
    try:
        publish()
    except Exception:  # the next message may be a good one
        log.exception("publish_failed")
