"""Lets a greenlet of eventlet's wait for a descriptor again and again. Under `web/websocket/event_loop`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class DescriptorWait:
    """Lets one greenlet wait for a descriptor.

    The library's own way registers the descriptor and a timer anew each time, which costs more than sending a message
    to a dozen clients. Here both stay.
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
        """Return once the descriptor is ready, or after that time, or earlier for no reason."""
        due = self._hub.clock() + seconds
        if self._timer is None or due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due, self._timer = due, self._hub.schedule_call_global(seconds, self._ring)
        self._sleeper = self._current()
        self._hub.switch()

    def _ring(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self, *_: Any) -> None:
        # Whoever waits may be held up elsewhere: then nothing is to be woken, and the descriptor stays ready.
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            sleeper.switch()
