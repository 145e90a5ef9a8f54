"""Pings for all connections from one place: two queues instead of a timer, a thread or a greenlet for each client.

Beside the road. Every pause between two pings is as long as every other, so that whoever was queued first is due first.
A process that was itself held up, by a machine that slept, say, has not heard the answers that came meanwhile: it gives
nobody up before it has listened again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

#: Seconds between two looks at the queues.
LOOK = 0.5
#: After so many seconds without a look it is this process that was away.
AWAY = 5.0


class PingTarget(Protocol):
    """A connection that has to prove that it lives."""

    closed: bool

    def ping(self, now: float) -> None:
        """Ask for a sign of life."""

    def is_overdue(self, asked_at: float) -> bool:
        """Tell whether nothing has answered the question of that moment."""

    def give_up(self) -> None:
        """Close the connection for want of an answer."""


class PingSchedule:
    """Asks each connection for a sign of life every `interval` seconds, and gives it up `timeout` seconds later."""

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._resting: deque[tuple[float, PingTarget]] = deque()
        self._asked: deque[tuple[float, PingTarget]] = deque()
        self._looked_at: float | None = None
        self._patient_until = 0.0

    def plan(self, beating: PingTarget, now: float) -> None:
        """Ask this connection after the next pause."""
        self._resting.append((now, beating))

    def look(self, now: float) -> None:
        """Ask those that are due, give up those that have not answered."""
        if self._looked_at is not None and now - self._looked_at > AWAY:
            self._patient_until = now + self._timeout
        self._looked_at = now
        for began, beating in _due(self._resting, now - self._interval):
            if not beating.closed:
                beating.ping(now)
                self._asked.append((now, beating))
            del began
        if now < self._patient_until:
            return
        for asked_at, beating in _due(self._asked, now - self._timeout):
            if not beating.closed and beating.is_overdue(asked_at):
                beating.give_up()

    def run(self, after: Callable[[float, Callable[[], None]], None], clock: Callable[[], float]) -> None:
        """Look now, and every `LOOK` seconds from now on."""
        self.look(clock())
        after(LOOK, lambda: self.run(after, clock))


def _due(queue: deque[tuple[float, PingTarget]], until: float) -> list[tuple[float, PingTarget]]:
    due = []
    while queue and queue[0][0] <= until:
        due.append(queue.popleft())
    return due
