"""A subscribed connection to Redis, read by a loop over many sockets instead of a thread. In `delivery/redis/subscriber`.

To wake a thread or a greenlet for each message costs more than sending the message to fifty clients.
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


class Loop(Protocol):
    """Whatever waits for many sockets in one place."""

    def watch(self, fd: int, handle: Callable[[int], None]) -> None:
        """Call `handle` whenever there is something to read."""

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more."""


class Ear:
    """Reads a connection until it ends. Only reads: whoever made the connection goes on writing to it."""

    def __init__(self, loop: Loop, connected: socket.socket, take: Callable[[Any], None]) -> None:
        """`take(reply)` is called in the loop with every reply, and must not wait."""
        self._loop = loop
        self._take = take
        self._sock = socket.socket(fileno=os.dup(connected.fileno()))
        self._sock.setblocking(False)
        self._reader = hiredis.Reader()
        #: Set once there is nothing more to hear; `fault` says why.
        self.ended = threading.Event()
        self.fault: Exception = ConnectionError("Redis has closed the connection")
        #: When something was last heard, in seconds of the monotonic clock.
        self.heard_at = time.monotonic()

    def open(self) -> None:
        """Begin to read."""
        self._loop.watch(self._sock.fileno(), self._read)

    def close(self) -> None:
        """Read no more."""
        self._loop.forget(self._sock.fileno())
        self._sock.close()

    def _read(self, _: int) -> None:
        try:
            data = self._sock.recv(_CHUNK)
            if not data:
                self._end(self.fault)
                return
            self.heard_at = time.monotonic()
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except BlockingIOError:
            return
        except Exception as fault:
            self._end(fault)

    def _end(self, fault: Exception) -> None:
        self.fault = fault
        # At once: a connection that has ended is always ready to be read.
        self._loop.forget(self._sock.fileno())
        self.ended.set()
