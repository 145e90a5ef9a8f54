"""Closes connections that have been connected to no namespace for too long. Beside the road, under `web/socketio/handlers`.

A connection that says nothing but answers every ping would otherwise stay for good and take the place of a client. So
would one whose client has left its namespace. The library has no such limit; the protocol's document wants one.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog

log = structlog.get_logger(__name__)

NAMESPACE = "/"
#: Pause, in seconds, between two looks at the connections that wait.
LOOK = 0.5


class Deadline:
    """The connections of one Socket.IO server that are not connected to a namespace yet, the oldest first."""

    def __init__(self, server: Any, seconds: float) -> None:
        """`server` is python-socketio's; each of its connections has so many seconds."""
        self._server = server
        self._seconds = seconds
        self._waiting: dict[str, float] = {}
        self._lock = threading.Lock()
        self._is_looking = False
        self._stopping = False
        server.eio.on("connect", self._open)

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, eio_sid: str) -> None:
        """Give a connection that has no namespace its time."""
        with self._lock:
            # At the end, also if it was there: the order is that of the moments.
            self._waiting.pop(eio_sid, None)
            self._waiting[eio_sid] = time.monotonic() + self._seconds
            if self._is_looking or self._stopping:
                return
            self._is_looking = True
        self._server.start_background_task(self._run)

    def left(self, sid: str) -> None:
        """Learn that a client leaves the namespace, and perhaps keeps its connection."""
        try:
            eio_sid = self._server.manager.eio_sid_from_sid(sid, NAMESPACE)
        except KeyError:
            return
        if eio_sid is not None:
            self.begin(eio_sid)

    def look(self, now: float) -> None:
        """Close those whose time is over."""
        for eio_sid in self._take_due(now):
            if self._server.manager.sid_from_eio_sid(eio_sid, NAMESPACE) is None:
                self._close(eio_sid)

    def stop(self) -> None:
        """Look no more."""
        self._stopping = True

    def _open(self, eio_sid: str, environ: dict[str, Any]) -> Any:
        answer = self._server._handle_eio_connect(eio_sid, environ)
        self.begin(eio_sid)
        return answer

    def _take_due(self, now: float) -> list[str]:
        due = []
        with self._lock:
            for eio_sid, deadline in self._waiting.items():
                if deadline > now:
                    break
                due.append(eio_sid)
            for eio_sid in due:
                del self._waiting[eio_sid]
        return due

    def _close(self, eio_sid: str) -> None:
        try:
            connection = self._server.eio._get_socket(eio_sid)
            connection.close(wait=False, abort=True, reason=self._server.reason.SERVER_DISCONNECT)
        except KeyError:
            # It has gone by itself.
            return
        except Exception:
            log.exception("close_failed")

    def _run(self) -> None:
        while True:
            self._server.sleep(LOOK)
            self.look(time.monotonic())
            with self._lock:
                if self._stopping or not self._waiting:
                    self._is_looking = False
                    return
