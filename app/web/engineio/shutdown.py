"""Ends the threads and connections of python-socketio when an application is closed.

The library starts threads that check connections and listen to Redis, and they run until the process ends. An
application that is closed in a process that continues, as in tests, ends them here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: Seconds between two checks whether a started thread has begun to run.
_CHECK_SECONDS = 0.01


class ServerThreads:
    """The threads (or greenlets) of one Socket.IO server; each of `ends` is called when they have to end."""

    def __init__(self, server: Any, *ends: Callable[[], None]) -> None:
        """`server` is python-socketio's; its threads sleep in `sleep` from now on."""
        self._eio = server.eio
        self._ends = ends
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
        eio = self._eio
        # First: a thread that the following calls wake checks whether it has to end.
        for end in self._ends:
            end()
        self._stopping.set()
        for socket in list(eio.sockets.values()):
            socket.close(wait=False, abort=True, reason=eio.reason.SERVER_DISCONNECT)
        if eio.service_task_handle is not None:
            # The thread itself creates the event that ends it.
            while eio.service_task_event is None:
                self._sleep(_CHECK_SECONDS)
            eio.shutdown()
