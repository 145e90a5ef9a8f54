"""Serves the websockets of python-engineio's sessions: on the stock engine, with gevent, in threads, and after polling.

The libraries' own websockets join the fragments of a message without reporting their number. Here the bytes come from
the server's socket and the frames from the same reader as on the fast path: each frame is counted, no fragment is
empty, and incomplete messages share one budget. A websocket waits in a thread or greenlet of its own.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any, Protocol

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.websocket import frames
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.outgoing_budget import QueuedWrite

#: Keys of the WSGI environment: the connection's socket, and a function to call when its websocket has ended.
SOCKET, HANDLED = "swallowtail.socket", "swallowtail.handled"
#: Most bytes per read.
_CHUNK = 32_768


class MessageReceiver(Protocol):
    """The session that reads a websocket."""

    max_message: int
    upgraded: bool

    def receiving_started(self) -> None:
        """Handle that the session is about to read."""


class StockWebsocket:
    """One websocket, as python-engineio's sessions know it: `wait`, `send`, `close`."""

    def __init__(
        self, sock: Any, session: MessageReceiver, settings: Settings, budgets: MemoryBudgets, silence: float
    ) -> None:
        """`sock` is the server's, after the handshake; a client may be silent for `silence` seconds."""
        self._sock = sock
        self._system_socket = system_socket(sock)
        self._session = session
        self._incoming = budgets.incoming
        self._write_budget = QueuedWrite(budgets.outgoing, self)
        self._reader = frames.FrameReader(session.max_message)
        self._max_frames = settings.client_rate
        self._second, self._frames = 0, 0
        self._is_open = True
        #: Whether a message was sent, or is being sent.
        self.has_sent = False
        self._writing = threading.Lock()
        #: Until then a polling session has to confirm the upgrade to this websocket.
        self._upgrade_deadline = time.monotonic() + settings.request_seconds
        self._silence = silence

    def wait(self) -> str | bytes | None:
        """Wait for the next message; None at the end."""
        self._session.receiving_started()
        while self._is_open:
            self._reader.max_message = self._session.max_message
            try:
                frame = self._reader.next()
            except frames.FrameError as error:
                self._close(error.code)
                break
            self._incoming.set_size(self, self._reader.buffered)
            if frame is None:
                if not self._read():
                    break
                continue
            self._limit_rate()
            kind, payload = frame
            if kind == frames.BINARY:
                return payload
            if kind == frames.TEXT:
                with suppress(UnicodeDecodeError):
                    return payload.decode()
                self._close(frames.INVALID_TEXT)
            elif kind != frames.FRAGMENT:
                self._handle_control(kind, payload)
        self._incoming.set_size(self, 0)
        return None

    def send(self, message: str | bytes) -> None:
        """Send a message and wait until it is written. Raises OSError."""
        self.has_sent = True
        data = frames.pack(message.encode()) if isinstance(message, str) else frames.pack(message, frames.BINARY)
        try:
            self._write_budget.begin(data)
            self._write(data)
        finally:
            self._write_budget.end()

    def close(self) -> None:
        """Send a close frame if that is possible at once, and end `wait`."""
        self._close(frames.GOING_AWAY)

    def close_oversized(self) -> None:
        """See `FragmentSender`."""
        self._reader = frames.FrameReader(0)
        self._close(frames.TRY_AGAIN_LATER)

    def abort(self) -> None:
        """See `SlowReceiver`."""
        self._is_open = False
        self._write_budget.end()
        with suppress(OSError):
            self._system_socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> bool:
        """Wait for data; return whether some arrived."""
        wait = self._silence if self._session.upgraded else self._upgrade_deadline - time.monotonic()
        if wait <= 0:
            return False
        try:
            self._sock.settimeout(wait)
            data = self._sock.recv(_CHUNK)
        except OSError:
            return False
        if not data or not self._is_open:
            return False
        self._reader.feed(data)
        return True

    def _limit_rate(self) -> None:
        """Count a frame; wait for the next second when there are too many in this one."""
        now = time.monotonic()
        if int(now) != self._second:
            self._second, self._frames = int(now), 0
        self._frames += 1
        if self._frames > self._max_frames:
            time.sleep(1 - now % 1)

    def _handle_control(self, kind: int, payload: bytes) -> None:
        if kind == frames.CLOSE:
            self._close(frames.reply_code(payload))
        elif kind == frames.PING:
            try:
                self._write(frames.pack(payload, frames.PONG))
            except OSError:
                self._close(frames.GOING_AWAY)

    def _write(self, data: bytes) -> None:
        with self._writing:
            self._sock.sendall(data)

    def _close(self, code: int) -> None:
        if not self._is_open:
            return
        self._is_open = False
        with suppress(OSError):
            # Not inside a message that is being written, and without waiting for that.
            if self._writing.acquire(blocking=False):
                try:
                    self._system_socket.send(frames.pack_close(code), socket.MSG_DONTWAIT)
                finally:
                    self._writing.release()
        self.abort()


def system_socket(sock: Any) -> socket.socket:
    """Return the operating system's socket inside a library's, which waits, or wakes others with an exception."""
    # eventlet's socket calls it `fd`, gevent's `_sock`; eventlet's has a `_sock` too.
    inner: socket.socket = getattr(sock, "fd", None) or getattr(sock, "_sock", sock)
    return inner
