"""Sends the events that one process commits as signals, for each instance in the order of their numbers.

Two threads may commit in one order and send in the other. So a transaction appends its events to a queue per instance
while it holds the counter, and they are sent once every transaction before it is committed or rolled back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swallowtail.app.core.events import EventRecord


@dataclass(slots=True)
class EventBatch:
    """The events of one transaction in one instance; `is_committed` is None until the outcome is known."""

    events: list[EventRecord]
    is_committed: bool | None = None


class EventOrder:
    """The queues of one process. `send` receives the events of one batch. Safe between threads."""

    def __init__(self, send: Callable[[list[EventRecord]], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._queues: dict[str, deque[EventBatch]] = {}
        #: Instances whose first batches a thread is sending, and the batch whose end made it the sender.
        self._sending: dict[str, EventBatch] = {}

    def reserve(self, events: Sequence[EventRecord]) -> list[EventBatch]:
        """Queue numbered events; call it in their transaction, which holds the instances' counters."""
        batches = []
        with self._lock:
            for instance_id in dict.fromkeys(event.instance_id for event in events):
                batch = EventBatch([event for event in events if event.instance_id == instance_id])
                self._queues.setdefault(instance_id, deque()).append(batch)
                batches.append(batch)
        return batches

    def settle(self, batches: Sequence[EventBatch], *, is_committed: bool) -> None:
        """Send batches that were committed, or drop the others, once every earlier batch is settled."""
        for batch in batches:
            if batch.is_committed is not None:
                continue
            instance_id = batch.events[0].instance_id
            try:
                with self._lock:
                    batch.is_committed = is_committed
                    if self._sending.setdefault(instance_id, batch) is not batch:
                        continue
                while (events := self._pop_next(instance_id)) is not None:
                    self._send(events)
            except BaseException:
                # An interrupt may come anywhere, even before this thread became the sender.
                if self._sending.get(instance_id) is batch:
                    del self._sending[instance_id]
                raise

    def _pop_next(self, instance_id: str) -> list[EventRecord] | None:
        with self._lock:
            waiting = self._queues[instance_id]
            while waiting and waiting[0].is_committed is not None:
                batch = waiting.popleft()
                if batch.is_committed:
                    return batch.events
            # Under the same lock as the check: the next thread that settles a batch sends it.
            self._sending.pop(instance_id, None)
            if not waiting:
                del self._queues[instance_id]
            return None
