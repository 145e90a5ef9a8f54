"""Accepts connections: websocket upgrades go to the Engine.IO engine, all other requests to the WSGI server.

The acceptor peeks at a request without removing it from the socket. It dispatches the connection once the head is
complete; until then the connection needs no greenlet, no thread and no server place. With too many incomplete heads,
the oldest goes. When the process is full, the connection that has waited longest for the rest of its request goes.
Health checks have reserved places.
"""

from __future__ import annotations

import errno
import math
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.accept.pending_connection import Address, PendingConnection, is_health_request
from swallowtail.app.web.accept.served_connections import ServedConnections
from swallowtail.app.web.engineio.fast_engine import FastEngine
from swallowtail.app.web.http.trusted_proxies import DIRECT
from swallowtail.app.web.limits.limits import TOO_MANY_CONNECTIONS, Limits
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.app.web.websocket.handshake import UpgradeRequest, read_upgrade

log = structlog.get_logger(__name__)

#: Connections accepted before open connections are served again.
_ACCEPTS_PER_TURN = 128
#: Pause, in seconds, when the process has no descriptors left.
ACCEPT_PAUSE = 0.5
#: Pause, in seconds, after a connection could not be accepted on a system without epoll.
_RETRY_PAUSE = 0.05
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_HEALTH_PATHS = (b"/healthz", b"/readyz")

#: Serves a connection whose head is complete; the flag marks a health check.
Dispatch = Callable[[socket.socket, Address, bool], None]


class PeekingAcceptor:
    """The listening socket of one process, on its event loop."""

    def __init__(
        self,
        listener: socket.socket,
        loop: EventLoop,
        engine: FastEngine | None,
        dispatch: Dispatch,
        served: ServedConnections,
        limits: Limits,
        settings: Settings,
    ) -> None:
        """Without an engine, the WSGI server gets websocket upgrades too."""
        listener.setblocking(False)
        self._listener = listener
        self._loop = loop
        self._engine = engine
        self._dispatch = dispatch
        self._served = served
        self._limits = limits
        self._max_connections = settings.max_connections
        self._health_reserve = settings.health_reserve
        self._head_timeout = settings.request_seconds
        self._health_paths = {settings.url_prefix.encode() + path for path in _HEALTH_PATHS}.union(_HEALTH_PATHS)
        #: Incomplete requests by descriptor, the oldest first.
        self._pending: dict[int, PendingConnection] = {}

    def start(self) -> None:
        """Start to accept."""
        self._loop.watch(self._listener.fileno(), lambda _: self._accept())

    def close(self) -> None:
        """Accept no more connections."""
        self._loop.close_socket(self._listener)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._free_descriptor(error)
                    return
                continue
            self._admit(PendingConnection(sock, address))

    def _admit(self, pending: PendingConnection) -> None:
        try:
            pending.sock.setblocking(False)
            pending.is_counted = self._limits.acquire_socket(pending.address[0])
            if not pending.is_counted:
                self._reject(pending, TOO_MANY_CONNECTIONS)
            elif not self._try_route(pending):
                self._wait_for_head(pending)
        except Exception:
            self._fail(pending)

    def _fail(self, pending: PendingConnection) -> None:
        """Close one connection after an unexpected error; all others continue."""
        log.exception("accept_failed")
        fd = pending.sock.fileno()
        if self._pending.get(fd) is pending:
            del self._pending[fd]
        with suppress(OSError):
            self._release(pending)
            self._loop.close_socket(pending.sock)

    def _release(self, pending: PendingConnection) -> None:
        if pending.is_counted:
            pending.is_counted = False
            self._limits.release_socket(pending.address[0])

    def _free_descriptor(self, error: OSError) -> None:
        """Close the oldest incomplete request, or pause when there is none."""
        if self._pending:
            self._drop(next(iter(self._pending)))
            return
        log.warning("accept_postponed", reason=str(error))
        self._loop.forget(self._listener.fileno())
        self._loop.call_later(ACCEPT_PAUSE, self.start)

    def _count(self) -> int:
        return self._served.count + (len(self._engine) if self._engine is not None else 0)

    def _has_capacity(self, *, is_health: bool) -> bool:
        """Return whether one more connection may be served; this may shed one that waits for its client."""
        places = self._max_connections + (self._health_reserve if is_health else 0)
        return self._count() < places or self._served.shed()

    def _wait_for_head(self, pending: PendingConnection) -> None:
        """Wait for the rest of a head. Most heads are complete when their connection is accepted."""
        if self._pending and self._count() + len(self._pending) >= self._max_connections:
            self._drop(next(iter(self._pending)))
        fd = pending.sock.fileno()
        self._pending[fd] = pending
        self._loop.watch(fd, lambda _: self._read_more(fd, pending))
        self._loop.call_later(self._head_timeout, lambda: self._time_out(fd, pending))

    def _read_more(self, fd: int, pending: PendingConnection) -> None:
        try:
            if self._try_route(pending):
                # The loop may already serve the descriptor for its new owner.
                self._pending.pop(fd, None)
        except Exception:
            self._fail(pending)

    def _time_out(self, fd: int, pending: PendingConnection) -> None:
        if self._pending.get(fd) is not pending:
            return
        remaining = pending.since + self._head_timeout - time.monotonic()
        if remaining > 0:
            # Its first byte arrived late; the request has its full time from there.
            self._loop.call_later(remaining, lambda: self._time_out(fd, pending))
        else:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        pending = self._pending.pop(fd)
        try:
            self._reject(pending, _LATE if pending.received_bytes else b"")
        except Exception:
            self._fail(pending)

    def _try_route(self, pending: PendingConnection) -> bool:
        """Route a connection if its head is complete; return False while it has to wait."""
        head = pending.peek()
        if head is None:
            return False
        if head:
            self._route(pending, head)
        else:
            self._reject(pending, b"")
        return True

    def _route(self, pending: PendingConnection, head: bytes) -> None:
        engine = self._engine
        upgrade = read_upgrade(head, pending.address, engine.prefix) if engine is not None else None
        is_health = is_health_request(head, self._health_paths)
        if not self._has_capacity(is_health=is_health):
            self._reject(pending, _BUSY)
        elif engine is not None and upgrade is not None and engine.is_allowed(upgrade):
            self._serve_socket(engine, pending, upgrade)
        else:
            self._dispatch_to_server(pending, is_health)

    def _serve_socket(self, engine: FastEngine, pending: PendingConnection, upgrade: UpgradeRequest) -> None:
        # From here on the engine counts it, for the address that a trusted proxy may have named.
        self._release(pending)
        upgrade.environ.pop(DIRECT, None)
        if wait := self._limits.try_connect(upgrade.environ["REMOTE_ADDR"]):
            self._reject(pending, _LIMITED % max(1, math.ceil(wait)))
            return
        self._loop.forget(pending.sock.fileno())
        pending.restore()
        pending.sock.recv(upgrade.size)
        engine.serve_socket(pending.sock, upgrade)

    def _dispatch_to_server(self, pending: PendingConnection, is_health: bool) -> None:
        self._loop.forget(pending.sock.fileno())
        pending.restore()
        # From here on `served` releases it.
        pending.is_counted = False
        self._served.add(pending.address, pending.since)
        try:
            self._dispatch(pending.sock, pending.address, is_health)
        except Exception:
            self._served.remove(pending.address)
            raise

    def _reject(self, pending: PendingConnection, response: bytes) -> None:
        self._release(pending)
        try:
            if response:
                pending.respond(response)
        except OSError as error:
            log.debug("response_not_sent", reason=str(error))
        self._loop.close_socket(pending.sock)


class BlockingAcceptor:
    """Accepts on systems without epoll, in its own thread or greenlet, and dispatches before a request has arrived."""

    def __init__(self, listener: socket.socket, dispatch: Dispatch, served: ServedConnections, limits: Limits) -> None:
        self._listener = listener
        self._dispatch = dispatch
        self._served = served
        self._limits = limits
        self._stopping = False

    def run(self) -> None:
        """Accept until `close`."""
        while not self._stopping:
            try:
                sock, address = self._listener.accept()
            except OSError:
                # The process has no descriptor left, or the client has gone.
                time.sleep(_RETRY_PAUSE)
                continue
            if self._limits.acquire_socket(address[0]):
                self._served.add(address, time.monotonic())
                self._dispatch(sock, address, False)
                continue
            with suppress(OSError):
                sock.sendall(TOO_MANY_CONNECTIONS)
            sock.close()

    def close(self) -> None:
        """Accept no more connections."""
        self._stopping = True


def start_acceptor(
    listener: socket.socket,
    loop: EventLoop | None,
    engine: FastEngine | None,
    dispatch: Dispatch,
    served: ServedConnections,
    limits: Limits,
    settings: Settings,
    start: Callable[[Callable[[], None]], object],
) -> Callable[[], None]:
    """Accept connections from now on; return a function that stops it. `start(work)` starts a thread or greenlet."""
    if loop is None:
        blocking = BlockingAcceptor(listener, dispatch, served, limits)
        start(blocking.run)
        return blocking.close
    acceptor = PeekingAcceptor(listener, loop, engine, dispatch, served, limits, settings)
    acceptor.start()
    start(loop.run)
    return acceptor.close
