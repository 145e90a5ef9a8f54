"""What the Socket.IO library does beside the requests of one web process, and the end of it. Beside the road.

The library starts threads that watch over connections and listen to Redis, and has them go on until the process ends.
An application that is closed in a process that lives on, as in tests, takes them along here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: Pause, in seconds, between two looks whether a thread that was started has begun.
_LOOK = 0.01


class Background:
    """The threads (or greenlets) of one Socket.IO server. `ends` are called when they are to end."""

    def __init__(self, server: Any, *ends: Callable[[], None]) -> None:
        """`server` is python-socketio's; what rests in one of its threads rests here from now on."""
        self._eio = server.eio
        self._ends = ends
        self._stopping = threading.Event()
        self._sleep: Callable[[float], None] = self._eio.sleep
        self._eio.sleep = self.rest

    def rest(self, seconds: float = 0) -> None:
        """Do what the library's `sleep` does, until the end at most."""
        if seconds > 0 and not self._stopping.wait(seconds):
            return
        # Others get their turn, also at the end: a greenlet that goes round and never waits would keep everybody out.
        self._sleep(0)

    def stop(self) -> None:
        """Close every connection and end every thread."""
        eio = self._eio
        # First: whoever is woken by what follows looks whether it is to end.
        for end in self._ends:
            end()
        self._stopping.set()
        for socket in list(eio.sockets.values()):
            socket.close(wait=False, abort=True, reason=eio.reason.SERVER_DISCONNECT)
        if eio.service_task_handle is not None:
            # The thread makes the event by which it can be told.
            while eio.service_task_event is None:
                self._sleep(_LOOK)
            eio.shutdown()
