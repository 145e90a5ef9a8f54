"""Limits how long a request may take to arrive, head and body together, under every WSGI server.

Servers limit each read alone, so a client that sends a byte now and then would keep its connection forever. One check
per second finds connections whose current request is late, and cuts those that still wait for a part of it. When the
process is full, the connection that has waited longest for its client goes earlier. Writing the response has no
deadline here: a poll may wait, a download may be slow.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog

log = structlog.get_logger(__name__)

#: Seconds between two checks.
CHECK_INTERVAL = 1.0
#: Most busy connections that one search for an idle connection skips.
_MAX_SKIPPED = 64


class RequestReader(Protocol):
    """The handler of a connection on which requests arrive."""

    def is_reading(self) -> bool:
        """Return whether the head or the body of the current request is incomplete."""

    def is_waiting(self) -> bool:
        """Return whether the handler waits for the client right now, and so notices a cut at once."""

    def cut(self, how: int) -> None:
        """Shut the socket down; `how` is the argument of `socket.shutdown`."""


class ReadDeadlines:
    """The deadlines of all requests that are arriving in one process. Thread-safe."""

    def __init__(self, seconds: float, idle: float) -> None:
        """A request has `seconds`; between two requests a connection may be silent for `idle` seconds."""
        self._seconds = seconds
        self._idle = idle
        #: The deadline of each reader, the oldest request first.
        self._due: dict[RequestReader, float] = {}
        #: Readers that were cut and have not ended yet.
        self._cut: dict[RequestReader, None] = {}
        #: When connections were accepted that no handler serves yet, by address.
        self._accepted: dict[Any, float] = {}
        self._peers: dict[RequestReader, Any] = {}
        #: Addresses of connections that were shed and are not closed yet.
        self._shed: set[Any] = set()
        self._lock = threading.Lock()

    @property
    def shed_count(self) -> int:
        """How many connections were shed and are not closed yet."""
        return len(self._shed)

    def expect(self, peer: Any, since: float) -> None:
        """Record when a connection was accepted: its first request counts from then, not from its handler's start."""
        with self._lock:
            self._accepted[peer] = since

    def forget(self, peer: Any) -> None:
        """Forget a connection that is closed, or that never got a handler."""
        with self._lock:
            self._accepted.pop(peer, None)
            self._shed.discard(peer)

    def begin(self, reader: RequestReader, peer: Any = None, *, idle: bool = False) -> None:
        """Start the deadline of a request, or of the pause before the next one."""
        with self._lock:
            since = self._accepted.pop(peer, None) if peer is not None else None
            if peer is not None:
                self._peers[reader] = peer
            self._due.pop(reader, None)
            start = time.monotonic() if since is None else since
            self._due[reader] = start + (self._idle if idle else self._seconds)

    def resume(self, reader: RequestReader) -> None:
        """Restore the deadline of a request whose rest the server reads after all, with at least one interval left."""
        with self._lock:
            due = self._due.pop(reader, 0.0)
            self._due[reader] = max(due, time.monotonic() + CHECK_INTERVAL)

    def end(self, reader: RequestReader) -> None:
        """Forget a reader."""
        with self._lock:
            self._due.pop(reader, None)
            self._cut.pop(reader, None)
            self._peers.pop(reader, None)

    def check(self, now: float) -> None:
        """Cut the late readers. A complete request is not checked again before the next one.

        A reader whose handler is busy is cut as soon as it waits for its client: it may be about to respond.
        """
        with self._lock:
            again = [reader for reader in self._cut if reader.is_waiting()]
            self._cut = {reader: None for reader in self._cut if _is_busy(reader)}
            late = [reader for reader, due in self._due.items() if due <= now and not _is_busy(reader)]
            for reader in late:
                del self._due[reader]
        for reader in again:
            # It had so many buffered bytes that it has not reached the end yet.
            reader.cut(socket.SHUT_RDWR)
        for reader in late:
            self._cut_off(reader)

    def shed(self) -> bool:
        """Cut the connection that has waited longest for its client; return whether there was one."""
        skipped = 0
        while skipped < _MAX_SKIPPED:
            with self._lock:
                reader = next(iter(self._due), None)
                if reader is None:
                    return False
                due = self._due.pop(reader)
                if _is_busy(reader):
                    self._due[reader] = due
                    skipped += 1
                    continue
                # Counted first: once it is cut, its handler may end and forget it at any moment.
                peer = self._peers.get(reader)
                self._shed |= {peer} - {None}
            if self._cut_off(reader):
                return True
            with self._lock:
                self._shed.discard(peer)
        return False

    def _cut_off(self, reader: RequestReader) -> bool:
        if not reader.is_reading():
            return False
        # The server can still send its 400 response.
        reader.cut(socket.SHUT_RD)
        with self._lock:
            self._cut[reader] = None
        return True

    def run(self, sleep: Callable[[float], Any]) -> None:
        """Check every `CHECK_INTERVAL` seconds, without end."""
        while True:
            sleep(CHECK_INTERVAL)
            try:
                self.check(time.monotonic())
            except Exception:
                log.exception("deadline_check_failed")


def _is_busy(reader: RequestReader) -> bool:
    return reader.is_reading() and not reader.is_waiting()
