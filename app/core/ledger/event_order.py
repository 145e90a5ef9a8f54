"""Sends the events that one process commits as signals, for each instance in the order of their numbers.

Two threads may commit in one order and come to send in the other. So a transaction takes its place in its instances'
lines while it holds their counters, and what it committed is sent once every place before it is settled.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from swallowtail.app.core.events import EventRecord


@dataclass(slots=True)
class Place:
    """The events of one transaction in one instance's line; `is_committed` is None until that is known."""

    events: list[EventRecord]
    is_committed: bool | None = None


@dataclass(slots=True)
class _Line:
    places: deque[Place] = field(default_factory=deque)
    #: Whether a thread is sending what stands at its head.
    is_moving: bool = False


class EventOrder:
    """The lines of one process. `send` gets the events of one transaction in one instance. Safe between threads."""

    def __init__(self, send: Callable[[list[EventRecord]], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def enter(self, events: Sequence[EventRecord]) -> list[Place]:
        """Take places for numbered events; call it in their transaction, which holds the instances' counters."""
        places = []
        with self._lock:
            for instance_id in dict.fromkeys(event.instance_id for event in events):
                place = Place([event for event in events if event.instance_id == instance_id])
                self._lines.setdefault(instance_id, _Line()).places.append(place)
                places.append(place)
        return places

    def settle(self, places: Sequence[Place], *, is_committed: bool) -> None:
        """Send what was committed, or forget what was not, once everything before it is settled."""
        for place in places:
            if place.is_committed is not None:
                continue
            instance_id = place.events[0].instance_id
            with self._lock:
                place.is_committed = is_committed
                line = self._lines[instance_id]
                if line.is_moving:
                    continue
                line.is_moving = True
            try:
                while (events := self._take_next(instance_id, line)) is not None:
                    self._send(events)
            except BaseException:
                line.is_moving = False
                raise

    def _take_next(self, instance_id: str, line: _Line) -> list[EventRecord] | None:
        with self._lock:
            while line.places and line.places[0].is_committed is not None:
                place = line.places.popleft()
                if place.is_committed:
                    return place.events
            # Under the same lock as the check: the next thread that settles a place sends it.
            line.is_moving = False
            if not line.places:
                self._lines.pop(instance_id, None)
            return None
