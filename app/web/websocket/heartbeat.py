"""Pings all websocket connections of a process from two queues, without a timer or a thread per client.

All pauses have the same length, so the connection queued first is due first. A process that was suspended has not read
the pongs that arrived meanwhile; it times out no connection before it has had time to read them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

#: Seconds between two checks of the queues.
CHECK_INTERVAL = 0.5
#: After so many seconds without a check, the process itself was suspended.
SUSPENDED = 5.0


class PingTarget(Protocol):
    """A connection that has to answer pings."""

    closed: bool

    def ping(self, now: float) -> None:
        """Send a ping."""

    def is_overdue(self, pinged_at: float) -> bool:
        """Return whether the ping of that moment has no answer."""

    def time_out(self) -> None:
        """Close the connection because of a missing pong."""


class PingSchedule:
    """Pings each connection every `interval` seconds, and closes it when no pong arrives within `timeout` seconds."""

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._idle: deque[tuple[float, PingTarget]] = deque()
        self._pinged: deque[tuple[float, PingTarget]] = deque()
        self._checked_at: float | None = None
        self._patient_until = 0.0

    def add(self, target: PingTarget, now: float) -> None:
        """Ping this connection after the next interval."""
        self._idle.append((now, target))

    def check(self, now: float) -> None:
        """Ping the connections that are due, and time out those without a pong."""
        if self._checked_at is not None and now - self._checked_at > SUSPENDED:
            self._patient_until = now + self._timeout
        self._checked_at = now
        for _, target in _pop_due(self._idle, now - self._interval):
            if not target.closed:
                target.ping(now)
                self._pinged.append((now, target))
        if now < self._patient_until:
            return
        for pinged_at, target in _pop_due(self._pinged, now - self._timeout):
            if not target.closed and target.is_overdue(pinged_at):
                target.time_out()

    def run(self, call_later: Callable[[float, Callable[[], None]], None], clock: Callable[[], float]) -> None:
        """Check now, and then every `CHECK_INTERVAL` seconds."""
        self.check(clock())
        call_later(CHECK_INTERVAL, lambda: self.run(call_later, clock))


def _pop_due(queue: deque[tuple[float, PingTarget]], until: float) -> list[tuple[float, PingTarget]]:
    due = []
    while queue and queue[0][0] <= until:
        due.append(queue.popleft())
    return due
