"""Waits for any number of sockets in one thread or greenlet, and calls a handler for each that is ready.

It imports no concurrency library: its caller passes the kernel's poller, a function that waits for it, and a function
that starts work which may block. All methods are called from the thread that runs the loop.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from select import epoll

log = structlog.get_logger(__name__)

#: What a socket can be ready for: epoll's numbers, which some concurrency libraries remove from `select`.
READ, WRITE, BROKEN = 0x1, 0x4, 0x8 | 0x10
#: Sockets that are served before the rest of the process may run.
_SOCKETS_PER_TURN = 256
#: Longest wait, in seconds.
MAX_WAIT = 0.25


class EventLoop:
    """One loop over all sockets of a process."""

    def __init__(
        self, poller: epoll, wait: Callable[[float], None], spawn: Callable[[Callable[[], None]], object]
    ) -> None:
        """`wait(seconds)` returns once the poller has an event; `spawn(work)` runs work that may block."""
        self.spawn = spawn
        #: Seconds of the monotonic clock at the start of this turn.
        self.now = time.monotonic()
        self._poller = poller
        self._wait = wait
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._in_turn = False
        self._to_close: list[socket.socket] = []
        self._stopping = False

    def watch(self, fd: int, handle: Callable[[int], None], events: int = READ) -> None:
        """Call `handle(events)` whenever a descriptor is ready, until `forget`."""
        self._poller.register(fd, events)
        self._handlers[fd] = handle

    def change(self, fd: int, events: int) -> None:
        """Watch a descriptor for these events from now on; 0 watches for its end only."""
        self._poller.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor, if it is watched."""
        if self._handlers.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def close_socket(self, sock: socket.socket) -> None:
        """Stop watching a socket and close it."""
        self.forget(sock.fileno())
        if self._in_turn:
            # A new socket must not get the same number while an event of the old one may be pending.
            self._to_close.append(sock)
        else:
            sock.close()

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call once, after so many seconds; up to `MAX_WAIT` late."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), call))

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping:
            self._wait(self._next_wait())
            self.run_once()

    def stop(self) -> None:
        """End `run` after its present turn."""
        self._stopping = True

    def run_once(self) -> None:
        """Serve the sockets that are ready and the timers that are due."""
        self.now = time.monotonic()
        self._in_turn = True
        for fd, events in self._poller.poll(0, _SOCKETS_PER_TURN):
            handle = self._handlers.get(fd)
            if handle is not None:
                try:
                    handle(events)
                except Exception:
                    log.exception("socket_failed")
                    self.forget(fd)
        self._in_turn = False
        for sock in self._to_close:
            sock.close()
        self._to_close.clear()
        while self._timers and self._timers[0][0] <= self.now:
            call = heapq.heappop(self._timers)[2]
            try:
                call()
            except Exception:
                log.exception("timer_failed")

    def _next_wait(self) -> float:
        if not self._timers:
            return MAX_WAIT
        return min(MAX_WAIT, max(0.0, self._timers[0][0] - time.monotonic()))
