"""How long a request may take to come: its head and its body together. Before the road, in every way of serving.

The servers bound each read, so that a byte now and then keeps a connection, and its place, for good. Here one look
every second finds the connections whose present request is late, and cuts those that still wait for some of it. When
the process has no place left, the one that has waited longest for its client goes earlier. What the answer takes is
nobody's business here: a poll may wait, a download may be slow.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import structlog

from swallowtail.app.web.engineio.stock_websocket import HANDLED, SOCKET

log = structlog.get_logger(__name__)

#: Seconds between two looks.
LOOK = 1.0


#: Where Werkzeug's environment has what is to be called after an answer, before the rest of the body is read.
ANSWERED = "swallowtail.answered"


#: Connections that a search for one that waits for its client passes by, since their handlers do something else.
PASSED_BY = 64


#: Bytes that are written at once.
PIECE = 65_536


class RequestReader(Protocol):
    """A connection on which requests come."""

    def is_reading(self) -> bool:
        """Tell whether the head or the body of a request is not all there."""

    def is_waiting(self) -> bool:
        """Tell whether its handler waits for the rest just now, and so finds at once that it was cut."""

    def cut(self, how: int) -> None:
        """Have whoever reads from it find its end; `how` is what a socket's `shutdown` takes."""


class ReadDeadlines:
    """The requests of one process that are on their way. May be called from any thread."""

    def __init__(self, seconds: float, idle: float) -> None:
        """A request has `seconds`; after one, a connection may be silent for `idle` until the next has begun."""
        self._seconds = seconds
        self._idle = idle
        #: When each is late; the one first that began first.
        self._due: dict[RequestReader, float] = {}
        #: Those that were cut and have not come to an end.
        self._cut: dict[RequestReader, None] = {}
        #: By the address of a connection that no handler has yet: when it was accepted.
        self._since: dict[Any, float] = {}
        #: The addresses of connections.
        self._peers: dict[RequestReader, Any] = {}
        #: Those of connections that were shed and are not closed.
        self._leaving: set[Any] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._due)

    @property
    def leaving(self) -> int:
        """How many connections were shed and are not closed."""
        return len(self._leaving)

    def expect(self, peer: Any, since: float) -> None:
        """Note when a connection came whose handler will begin to read only now: its first request began then."""
        with self._lock:
            self._since[peer] = since

    def forget(self, peer: Any) -> None:
        """Forget a connection that is closed, or whose handler never began."""
        with self._lock:
            self._since.pop(peer, None)
            self._leaving.discard(peer)

    def begin(self, reader: RequestReader, peer: Any = None, *, idle: bool = False) -> None:
        """Note that a request begins to come, or that nothing does."""
        with self._lock:
            since = self._since.pop(peer, None) if peer is not None else None
            if peer is not None:
                self._peers[reader] = peer
            self._due.pop(reader, None)
            now = time.monotonic() if since is None else since
            self._due[reader] = now + (self._idle if idle else self._seconds)

    def go_on(self, reader: RequestReader) -> None:
        """Note that the rest of a request is read after all, which has no more time than it had, or one look's."""
        with self._lock:
            due = self._due.pop(reader, 0.0)
            self._due[reader] = max(due, time.monotonic() + LOOK)

    def end(self, reader: RequestReader) -> None:
        """Forget a connection."""
        with self._lock:
            self._due.pop(reader, None)
            self._cut.pop(reader, None)
            self._peers.pop(reader, None)

    def look(self, now: float) -> None:
        """Cut whoever is late. One whose request is all there is looked at no more until the next.

        One whose handler does something else is cut as soon as it waits for its client: it may be about to answer.
        """
        with self._lock:
            again = [reader for reader in self._cut if reader.is_waiting()]
            self._cut = {reader: None for reader in self._cut if _is_busy(reader)}
            late = [reader for reader, due in self._due.items() if due <= now and not _is_busy(reader)]
            for reader in late:
                del self._due[reader]
        for reader in again:
            # It had so much to read that it has not come to the end.
            reader.cut(socket.SHUT_RDWR)
        for reader in late:
            self._cut_off(reader)

    def shed(self) -> bool:
        """Cut the connection that has waited longest for its client to say something; tells whether there was one."""
        passed = 0
        while passed < PASSED_BY:
            with self._lock:
                reader = next(iter(self._due), None)
                if reader is None:
                    return False
                due = self._due.pop(reader)
                if _is_busy(reader):
                    self._due[reader] = due
                    passed += 1
                    continue
                # Counted first: once it is cut, its handler may end, and its connection be forgotten, at any moment.
                peer = self._peers.get(reader)
                self._leaving |= {peer} - {None}
            if self._cut_off(reader):
                return True
            with self._lock:
                self._leaving.discard(peer)
        return False

    def _cut_off(self, reader: RequestReader) -> bool:
        if not reader.is_reading():
            return False
        # Its answer can still be sent, which is 400.
        reader.cut(socket.SHUT_RD)
        with self._lock:
            self._cut[reader] = None
        return True

    def run(self, sleep: Callable[[float], Any]) -> None:
        """Look every now and then, for good."""
        while True:
            sleep(LOOK)
            try:
                self.look(time.monotonic())
            except Exception:
                log.exception("look_failed")


def _is_busy(reader: RequestReader) -> bool:
    return reader.is_reading() and not reader.is_waiting()


class TrackedInput:
    """What requests are read from; tells whether somebody reads just now."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.is_read = False

    def read(self, *size: int) -> bytes:
        """Read as its source does."""
        return self._watch(self._source.read, size)

    def readline(self, *size: int) -> bytes:
        """Read as its source does."""
        return self._watch(self._source.readline, size)

    def _watch(self, read: Callable[..., bytes], size: tuple[int, ...]) -> bytes:
        self.is_read = True
        try:
            return read(*size)
        finally:
            self.is_read = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class CountedBody:
    """A body of a known length whose bytes are counted, for servers that do not."""

    chunked_input = False

    def __init__(self, source: Any, length: int) -> None:
        self._source = source
        self.content_length = length
        self.position = 0

    def read(self, *size: int) -> bytes:
        """Read as its source does."""
        return self._count(self._source.read(*size))

    def readline(self, *size: int) -> bytes:
        """Read as its source does."""
        return self._count(self._source.readline(*size))

    def _count(self, data: bytes) -> bytes:
        self.position += len(data)
        return data


class DeadlineHandler:
    """What a handler needs to be a `RequestReader`. `body` counts what has been read, as eventlet's and gevent's inputs do."""

    body: Any = None
    source: TrackedInput

    def is_waiting(self) -> bool:
        """See `RequestReader`."""
        return self.source.is_read and self.is_reading()

    def is_reading(self) -> bool:
        """See `RequestReader`."""
        body = self.body
        if body is None:
            return True
        if body.chunked_input:
            return bool(body.chunk_length != 0)
        return bool(body.position < (body.content_length or 0))

    def cut(self, how: int) -> None:
        """See `RequestReader`."""
        with suppress(OSError, AttributeError):
            self.find_socket().shutdown(how)

    def find_socket(self) -> Any:
        """Return the connection."""
        raise NotImplementedError


def _leave() -> None:
    # What Werkzeug takes for the end of a connection that is to get no answer.
    raise ConnectionError


def hurry(handler: type[Any], readings: ReadDeadlines, leave: Callable[[], None] = _leave) -> type[Any]:
    """Return a handler of `http.server`'s family (eventlet's, Werkzeug's) whose requests have to come in time.

    `leave` tells the server that a connection has been a websocket.
    """

    class Hurried(DeadlineHandler, handler):  # type: ignore[misc] # eventlet has no types
        rfile: Any
        has_served = False

        def setup(self) -> None:
            super().setup()
            self.source = self.rfile = TrackedInput(self.rfile)

        def find_socket(self) -> Any:
            return self.connection

        def handle_one_request(self) -> None:
            self.body = None
            readings.begin(self, self.client_address, idle=self.has_served)
            super().handle_one_request()
            self.has_served = True

        def parse_request(self) -> bool:
            if self.has_served:
                readings.begin(self)
            return bool(super().parse_request())

        def get_environ(self) -> Any:
            environ = super().get_environ()
            self.body = environ["wsgi.input"]
            environ[SOCKET], environ[HANDLED] = self.connection, leave
            return environ

        def make_environ(self) -> Any:
            environ = super().make_environ()
            if not environ.get("wsgi.input_terminated"):
                length = environ.get("CONTENT_LENGTH") or "0"
                self.body = environ["wsgi.input"] = CountedBody(environ["wsgi.input"], int(length))
            environ[ANSWERED] = self.answered
            environ[SOCKET], environ[HANDLED] = self.connection, leave
            return environ

        def answered(self) -> None:
            """Have what is read after an answer, which is thrown away, come in time too."""
            if not self.is_reading():
                # There is nothing that is to come: whoever sends more keeps no place with it.
                self.cut(socket.SHUT_RD)
            self.body = None
            readings.go_on(self)

        def finish(self) -> None:
            readings.end(self)
            super().finish()

    return Hurried


def hurry_in_gevent(handler: type[Any], readings: ReadDeadlines, patience: float) -> type[Any]:
    """Return gevent's request handler with the same care.

    Whoever takes nothing of an answer for `patience` seconds is gone, as the other servers have it by themselves.
    """

    class Hurried(DeadlineHandler, handler):  # type: ignore[misc] # the library has no types
        rfile: Any
        has_served = False

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.socket.settimeout(patience)
            self.source = self.rfile = TrackedInput(self.rfile)

        def _sendall(self, data: bytes) -> None:
            # Piece by piece: the time is that of one call, and who takes it slowly may go on.
            for start in range(0, len(data), PIECE):
                super()._sendall(data[start : start + PIECE])

        def find_socket(self) -> Any:
            # Not gevent's own: it would raise in whoever reads.
            return self.socket._sock

        def handle(self) -> None:
            try:
                super().handle()
            finally:
                readings.end(self)

        def handle_one_request(self) -> Any:
            self.body = None
            readings.begin(self, self.client_address, idle=self.has_served)
            answer = super().handle_one_request()
            self.has_served = True
            return answer

        def read_request(self, raw_requestline: str) -> Any:
            if self.has_served:
                readings.begin(self)
            return super().read_request(raw_requestline)

        def get_environ(self) -> Any:
            environ = super().get_environ()
            self.body = self.wsgi_input
            environ[SOCKET], environ[HANDLED] = self.socket, self.leave
            return environ

        def leave(self) -> None:
            """Expect no further request: this was a websocket."""
            self.close_connection = True

    return Hurried
