"""Ends the threads and connections of python-socketio when an application is closed.

The library starts threads that check connections and listen to Redis, and they run until the process ends. An
application that is closed in a process that continues, as in tests, ends them here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from swallowtail.app.web.engineio.sessions import Sessions

#: Seconds between two checks whether a started thread has begun to run.
_CHECK_SECONDS = 0.01


class ServerThreads:
    """The threads (or greenlets) of one Socket.IO server; each of `ends` is called when they have to end."""

    def __init__(self, sessions: Sessions, *ends: Callable[[], None]) -> None:
        """The server's threads sleep in `sleep` from now on."""
        self._sessions = sessions
        self._eio = sessions.server.eio
        self._ends = (sessions.server.manager.stop, *ends)
        self._stopping = threading.Event()
        self._sleep: Callable[[float], None] = self._eio.sleep
        self._eio.sleep = self.sleep

    def sleep(self, seconds: float = 0) -> None:
        """Sleep as the library does, but no longer than until `stop`."""
        if seconds > 0 and not self._stopping.wait(seconds):
            return
        # Yields also after `stop`: a greenlet that loops without waiting would block all others.
        self._sleep(0)

    def stop(self) -> None:
        """Close every connection and end every thread."""
        # First: a thread that the following calls wake checks whether it has to end.
        for end in self._ends:
            end()
        self._stopping.set()
        self._sessions.close_stock()
        if self._eio.service_task_handle is not None:
            # The thread itself creates the event that ends it.
            while self._eio.service_task_event is None:
                self._sleep(_CHECK_SECONDS)
            self._eio.shutdown()
