"""Websockets of the library's sessions: on the stock engine, under gevent, in threads, and after polling.

Beside the road's last stop. The libraries' own websockets join the pieces of a message without telling how many came.
Here the bytes come from the server's socket, and the frames from the reader that the fast path has: each is counted,
none of a message in pieces is empty, and what is kept of messages that are not all there has one budget. A websocket
waits in a thread or greenlet of its own; whose library that is nobody here knows.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any, Protocol

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.frames import (
    BINARY,
    CLOSE,
    FRAGMENT,
    GOING_AWAY,
    INVALID_TEXT,
    PING,
    PONG,
    TEXT,
    TRY_AGAIN_LATER,
    FrameError,
    FrameReader,
    pack,
    pack_close,
)
from swallowtail.app.web.websocket.outgoing_budget import QueuedWrite

#: In a WSGI environment: the connection's socket, and what is to be called once it has been a websocket.
SOCKET, HANDLED = "swallowtail.socket", "swallowtail.handled"
#: Most bytes that are read at once.
_CHUNK = 32_768


class Hearer(Protocol):
    """Whoever hears a websocket."""

    longest: int
    upgraded: bool

    def heard(self) -> None:
        """Learn that the websocket is about to be heard."""


class StockSocket:
    """One websocket, as python-engineio's sessions know it: `wait`, `send`, `close`."""

    def __init__(self, sock: Any, hearer: Hearer, settings: Settings, budgets: MemoryBudgets, patience: float) -> None:
        """`sock` is that of the server, whose handshake is over; a client may be silent for `patience` seconds."""
        self._line = sock
        self._bare = bare(sock)
        self._hearer = hearer
        self._incoming = budgets.incoming
        self._hold = QueuedWrite(budgets.outgoing, self)
        self._reader = FrameReader(hearer.longest)
        self._rate = settings.client_rate
        self._second, self._heard = 0, 0
        self._is_open = True
        #: Whether anything was sent, or is about to be.
        self.has_told = False
        self._writing = threading.Lock()
        #: By then a client that has a session has to have shown that the websocket takes its place.
        self._due = time.monotonic() + settings.request_seconds
        self._longest_wait = patience

    def wait(self) -> str | bytes | None:
        """Return the next message; None when there will be none."""
        self._hearer.heard()
        while self._is_open:
            self._reader.max_message = self._hearer.longest
            try:
                found = self._reader.next()
            except FrameError as fault:
                self._end(fault.code)
                break
            self._incoming.set_size(self, self._reader.buffered)
            if found is None:
                if not self._feed():
                    break
                continue
            self._count()
            kind, payload = found
            if kind == BINARY:
                return payload
            if kind == TEXT:
                with suppress(UnicodeDecodeError):
                    return payload.decode()
                self._end(INVALID_TEXT)
            elif kind != FRAGMENT:
                self._answer(kind, payload)
        self._incoming.set_size(self, 0)
        return None

    def send(self, message: str | bytes) -> None:
        """Send a message, and wait until it is written. Raises OSError."""
        self.has_told = True
        data = pack(message.encode()) if isinstance(message, str) else pack(message, BINARY)
        try:
            self._hold.begin(data)
            self._write(data)
        finally:
            self._hold.end()

    def close(self) -> None:
        """Say that this is the end, as far as the client takes it, and have whoever waits find it."""
        self._end(GOING_AWAY)

    def close_oversized(self) -> None:
        """See `FragmentSender`."""
        self._reader = FrameReader(0)
        self._end(TRY_AGAIN_LATER)

    def abort(self) -> None:
        """See `SlowReceiver`."""
        self._is_open = False
        self._hold.end()
        with suppress(OSError):
            self._bare.shutdown(socket.SHUT_RDWR)

    def _feed(self) -> bool:
        """Wait for more; tells whether something came."""
        wait = self._longest_wait if self._hearer.upgraded else self._due - time.monotonic()
        if wait <= 0:
            return False
        try:
            self._line.settimeout(wait)
            data = self._line.recv(_CHUNK)
        except OSError:
            return False
        if not data or not self._is_open:
            return False
        self._reader.feed(data)
        return True

    def _count(self) -> None:
        """Count a frame; whoever says too many in a second is heard in the next."""
        now = time.monotonic()
        if int(now) != self._second:
            self._second, self._heard = int(now), 0
        self._heard += 1
        if self._heard > self._rate:
            time.sleep(1 - now % 1)

    def _answer(self, kind: int, payload: bytes) -> None:
        if kind == CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else GOING_AWAY
            self._end(code if 1000 <= code < 5000 and code not in (1005, 1006, 1015) else GOING_AWAY)
        elif kind == PING:
            try:
                self._write(pack(payload, PONG))
            except OSError:
                self._end(GOING_AWAY)

    def _write(self, data: bytes) -> None:
        with self._writing:
            self._line.sendall(data)

    def _end(self, code: int) -> None:
        if not self._is_open:
            return
        self._is_open = False
        with suppress(OSError):
            # Not within a message that is being written, and nobody waits for it.
            if self._writing.acquire(blocking=False):
                try:
                    self._bare.send(pack_close(code), socket.MSG_DONTWAIT)
                finally:
                    self._writing.release()
        self.abort()


def bare(line: Any) -> socket.socket:
    """Return the system's socket in that of a library, which waits, or wakes others by an exception."""
    # Eventlet's calls itself `_sock` too.
    found: socket.socket = getattr(line, "fd", None) or getattr(line, "_sock", line)
    return found
