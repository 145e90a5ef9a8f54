"""Waits for any number of sockets in one place, without a thread or a greenlet for each. Under the road's last stop.

It names no concurrency library: `app/wsgi.py` hands it the kernel's poller, a way to wait for it, and a way to start
what may take long. Everything is called from the one thread that runs it.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import time
from collections.abc import Callable
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

#: What a socket can be ready for: the numbers of epoll, which some concurrency libraries take out of `select`.
READ, WRITE, BROKEN = 0x1, 0x4, 0x8 | 0x10
#: Sockets that are served before everybody else in the process has a turn.
AT_ONCE = 256
#: Longest wait, in seconds.
TICK = 0.25


class Poller(Protocol):
    """What is used of `select.epoll`."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Begin to watch a descriptor."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Watch a descriptor for something else."""

    def unregister(self, fd: int, /) -> None:
        """Watch a descriptor no more."""

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """Return who is ready for what."""


class EventLoop:
    """One loop over all sockets of a process."""

    def __init__(
        self, poller: Poller, wait: Callable[[float], None], spawn: Callable[[Callable[[], None]], object]
    ) -> None:
        """`wait(seconds)` returns once the poller has something; `spawn(work)` lets `work` wait for other things."""
        self.spawn = spawn
        #: Seconds of the monotonic clock at the beginning of this turn.
        self.now = time.monotonic()
        self._poller = poller
        self._wait = wait
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._plans: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._in_turn = False
        self._spent: list[socket.socket] = []
        self._stopping = False

    def watch(self, fd: int, handle: Callable[[int], None], events: int = READ) -> None:
        """Call `handle(events)` whenever a descriptor is ready, until it is forgotten."""
        self._poller.register(fd, events)
        self._handlers[fd] = handle

    def change(self, fd: int, events: int) -> None:
        """Watch a descriptor for these events from now on; 0 for its end only."""
        self._poller.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more. One that is not watched is no error."""
        if self._handlers.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def discard(self, sock: socket.socket) -> None:
        """Forget a socket and close it."""
        self.forget(sock.fileno())
        if self._in_turn:
            # Its number must not be given to a new socket while news of the old one may be in hand.
            self._spent.append(sock)
        else:
            sock.close()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call once, when the time has passed; up to `TICK` late."""
        heapq.heappush(self._plans, (time.monotonic() + seconds, next(self._order), call))

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping:
            self._wait(self._pause())
            self.turn()

    def stop(self) -> None:
        """End `run` after its present turn."""
        self._stopping = True

    def turn(self) -> None:
        """Serve everybody who is ready, and what is planned for now."""
        self.now = time.monotonic()
        self._in_turn = True
        for fd, events in self._poller.poll(0, AT_ONCE):
            handle = self._handlers.get(fd)
            if handle is not None:
                try:
                    handle(events)
                except Exception:
                    log.exception("socket_failed")
                    self.forget(fd)
        self._in_turn = False
        for sock in self._spent:
            sock.close()
        self._spent.clear()
        while self._plans and self._plans[0][0] <= self.now:
            self._call(heapq.heappop(self._plans)[2])

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            log.exception("plan_failed")

    def _pause(self) -> float:
        if not self._plans:
            return TICK
        return min(TICK, max(0.0, self._plans[0][0] - time.monotonic()))
