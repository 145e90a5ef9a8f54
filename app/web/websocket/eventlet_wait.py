"""Lets one eventlet greenlet wait for a descriptor again and again, for `web/websocket/event_loop`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class DescriptorWait:
    """Keeps one registration and one timer in eventlet's hub.

    The library's own wait registers the descriptor and a timer anew each time, which costs more than sending a message
    to a dozen clients.
    """

    def __init__(self, hub: Any, current: Callable[[], Any], fd: int) -> None:
        """`hub` is eventlet's; `current` returns the greenlet that calls."""
        self._hub = hub
        self._current = current
        self._sleeper: Any = None
        self._timer: Any = None
        self._due = 0.0
        hub.add(hub.READ, fd, self._wake, self._wake, lambda: None)

    def wait(self, seconds: float) -> None:
        """Return once the descriptor is ready or the time is over. May return early."""
        due = self._hub.clock() + seconds
        if self._timer is None or due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due, self._timer = due, self._hub.schedule_call_global(seconds, self._time_out)
        self._sleeper = self._current()
        self._hub.switch()

    def _time_out(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self, *_: Any) -> None:
        # The greenlet may be waiting elsewhere. Then the descriptor stays ready and the next wait returns at once.
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            sleeper.switch()
