"""Closes connections that have been connected to no namespace for too long.

A connection that only answers pings, or whose client has left its namespace, would otherwise stay open and take the
place of a client. python-engineio has no such limit; the protocol's document requires one.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog

from swallowtail.app.web.engineio.sessions import Sessions

log = structlog.get_logger(__name__)

#: Seconds between two checks.
CHECK_SECONDS = 0.5


class ConnectTimeouts:
    """The connections of one Socket.IO server that are in no namespace, the oldest first."""

    def __init__(self, sessions: Sessions, seconds: float) -> None:
        """Each connection has `seconds` to connect to the namespace."""
        self._sessions = sessions
        self._server: Any = sessions.server
        self._seconds = seconds
        self._deadlines: dict[str, float] = {}
        self._lock = threading.Lock()
        self._is_running = False
        self._stopping = False
        self._server.eio.on("connect", self._open)

    def start(self, eio_sid: str) -> None:
        """Start the timeout of a connection."""
        with self._lock:
            # Moves to the end: deadlines are sorted by time.
            self._deadlines.pop(eio_sid, None)
            self._deadlines[eio_sid] = time.monotonic() + self._seconds
            if self._is_running or self._stopping:
                return
            self._is_running = True
        self._server.start_background_task(self._run)

    def namespace_left(self, sid: str) -> None:
        """Start the timeout of a client that leaves the namespace and may keep its connection."""
        eio_sid = self._sessions.find_id(sid)
        if eio_sid is not None:
            self.start(eio_sid)

    def close_due(self, now: float) -> None:
        """Close the connections whose timeout has passed."""
        for eio_sid in self._pop_due(now):
            if self._sessions.find_client(eio_sid) is None:
                self._close(eio_sid)

    def stop(self) -> None:
        """Stop checking."""
        self._stopping = True

    def _open(self, eio_sid: str, environ: dict[str, Any]) -> Any:
        result = self._server._handle_eio_connect(eio_sid, environ)
        self.start(eio_sid)
        return result

    def _pop_due(self, now: float) -> list[str]:
        due = []
        with self._lock:
            for eio_sid, deadline in self._deadlines.items():
                if deadline > now:
                    break
                due.append(eio_sid)
            for eio_sid in due:
                del self._deadlines[eio_sid]
        return due

    def _close(self, eio_sid: str) -> None:
        try:
            if (session := self._sessions.find(eio_sid)) is not None:
                session.close(wait=False, abort=True, reason=self._server.reason.SERVER_DISCONNECT)
        except Exception:
            log.exception("close_failed")

    def _run(self) -> None:
        while True:
            self._server.sleep(CHECK_SECONDS)
            self.close_due(time.monotonic())
            with self._lock:
                if self._stopping or not self._deadlines:
                    self._is_running = False
                    return
