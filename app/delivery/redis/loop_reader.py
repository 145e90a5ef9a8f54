"""Reads a subscribed Redis connection in the event loop that serves the websockets, instead of in a thread.

Waking a thread or a greenlet for each message costs more than sending the message to fifty clients.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import hiredis

#: Most bytes that are read at once.
_CHUNK = 65_536


class SocketLoop(Protocol):
    """An event loop that waits for many sockets."""

    def watch(self, fd: int, handle: Callable[[int], None]) -> None:
        """Call `handle` whenever a descriptor is readable."""

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor."""


class LoopReader:
    """Reads a connection until it ends; its owner continues to write to it."""

    def __init__(self, loop: SocketLoop, connected: socket.socket, receive: Callable[[Any], None]) -> None:
        """`receive(reply)` is called in the loop with every reply, and must not block."""
        self._loop = loop
        self._receive = receive
        self._sock = socket.socket(fileno=os.dup(connected.fileno()))
        self._sock.setblocking(False)
        self._reader = hiredis.Reader()
        #: Set when the connection has ended; `fault` is the reason.
        self.ended = threading.Event()
        self.fault: Exception = ConnectionError("Redis has closed the connection")
        #: When data was received last, by the monotonic clock.
        self.received_at = time.monotonic()

    def open(self) -> None:
        """Start to read."""
        self._loop.watch(self._sock.fileno(), self._read)

    def close(self) -> None:
        """Stop reading."""
        self._loop.forget(self._sock.fileno())
        self._sock.close()

    def _read(self, _: int) -> None:
        try:
            data = self._sock.recv(_CHUNK)
            if not data:
                self._end(self.fault)
                return
            self.received_at = time.monotonic()
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._receive(reply)
        except BlockingIOError:
            return
        except Exception as fault:
            self._end(fault)

    def _end(self, fault: Exception) -> None:
        self.fault = fault
        # At once: the loop reports an ended connection as readable all the time.
        self._loop.forget(self._sock.fileno())
        self.ended.set()
