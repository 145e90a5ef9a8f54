"""Accepts connections: what asks for a websocket goes to the engine, anything else to the WSGI server. Before the road.

A request is looked at without being taken from its socket, so that whoever answers it finds it whole. It is handed on
once its head is there, and until then costs no greenlet, no thread and no place; when there are too many that wait, the
one that has waited longest goes. When there is no place for a whole head, the connection goes that has one and has
waited longest for the rest of its request. What asks for the health of the process has places of its own.
"""

from __future__ import annotations

import errno
import math
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.wsgi_listener import Acceptor, BlockingAcceptor
from swallowtail.app.web.engineio.fast_engine import Engine
from swallowtail.app.web.http.trusted_proxies import DIRECT
from swallowtail.app.web.limits.limits import TOO_MANY_HERE, Limits
from swallowtail.app.web.websocket.event_loop import EventLoop, Poller
from swallowtail.app.web.websocket.handshake import END, LONGEST, UpgradeRequest, read_upgrade

log = structlog.get_logger(__name__)

#: Connections accepted before those that are open have a turn.
AT_ONCE = 128
#: Pause, in seconds, when the process has no descriptors left.
REST = 0.5
_SPENT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#: Connections that were shed and are not closed yet; with so many, no other one goes for a newcomer. Each has a
#: descriptor, and how soon it is closed depends on what its handler does.
MOST_LEAVING = 64
#: The paths under which machines ask for the health of the process.
_HEALTH = (b"/healthz", b"/readyz")
#: What says that something comes after a head: who asks for health with a body, or for another protocol, could keep its
#: place.
_MORE = re.compile(rb"^(content-length|transfer-encoding|upgrade)[ \t]*:", re.IGNORECASE | re.MULTILINE)

Address = tuple[str, int]
#: Takes a connection whose request is to be answered; the last says whether it asks for the health of the process.
Dispatch = Callable[[socket.socket, Address, bool], None]


class PendingConnection:
    """A connection whose request is not all there."""

    __slots__ = ("address", "is_counted", "seen", "since", "sock")

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self.sock = sock
        self.address = address
        #: When it came, and from its first byte on when that did.
        self.since = time.monotonic()
        #: Bytes that have come.
        self.seen = 0
        #: Whether it is ours to have its address released.
        self.is_counted = False


class PeekingAcceptor:
    """The listening socket of one process."""

    def __init__(
        self,
        listener: socket.socket,
        reactor: EventLoop,
        engine: Engine | None,
        hand_over: Dispatch,
        limits: Limits,
        readings: ReadDeadlines,
        settings: Settings,
    ) -> None:
        """`readings` are those of the WSGI server. Without an engine every websocket is the server's too."""
        listener.setblocking(False)
        self._listener = listener
        self._reactor = reactor
        self._engine = engine
        self._hand_over = hand_over
        self._limits = limits
        self._readings = readings
        self._most = settings.max_connections
        self._reserve = settings.health_reserve
        self._patience = settings.request_seconds
        self._health = {settings.url_prefix.encode() + path for path in _HEALTH}.union(_HEALTH)
        #: By descriptor, the one first that has waited longest.
        self._silent: dict[int, PendingConnection] = {}
        self._handed = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        """Begin to accept."""
        self._reactor.watch(self._listener.fileno(), lambda _: self._accept())

    def close(self) -> None:
        """Accept nobody any more."""
        self._reactor.discard(self._listener)

    def left(self, address: Address) -> None:
        """Learn that a connection which was handed over is closed. May be called from any thread."""
        with self._lock:
            self._handed -= 1
        self._readings.forget(address)
        self._limits.release(address[0])

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as fault:
                if fault.errno in _SPENT:
                    self._rest(fault)
                    return
                continue
            self._welcome(PendingConnection(sock, address))

    def _welcome(self, visitor: PendingConnection) -> None:
        try:
            visitor.sock.setblocking(False)
            visitor.is_counted = self._limits.hold(visitor.address[0])
            if not visitor.is_counted:
                self._answer(visitor.sock, TOO_MANY_HERE)
            elif not self._look(visitor):
                self._keep(visitor)
        except Exception:
            self._fail(visitor)

    def _fail(self, visitor: PendingConnection) -> None:
        """Let one go with whom something went wrong; everybody else has nothing to do with it."""
        log.exception("visitor_failed")
        fd = visitor.sock.fileno()
        if self._silent.get(fd) is visitor:
            del self._silent[fd]
        with suppress(OSError):
            self._release(visitor)
            self._reactor.discard(visitor.sock)

    def _release(self, visitor: PendingConnection) -> None:
        if visitor.is_counted:
            visitor.is_counted = False
            self._limits.release(visitor.address[0])

    def _rest(self, fault: OSError) -> None:
        if self._silent:
            # Better one that says nothing than all that come.
            self._drop(next(iter(self._silent)))
            return
        log.warning("accept_postponed", reason=str(fault))
        self._reactor.forget(self._listener.fileno())
        self._reactor.after(REST, self.open)

    def _count(self) -> int:
        return self._handed - self._readings.leaving + (len(self._engine) if self._engine is not None else 0)

    def _has_place(self, *, is_health: bool) -> bool:
        """Tell whether one more may be let in, for whom another that waits for its client may have to go."""
        if self._count() < self._most + (self._reserve if is_health else 0):
            return True
        return self._readings.leaving < MOST_LEAVING and self._readings.shed()

    def _keep(self, visitor: PendingConnection) -> None:
        """Wait for the rest of a head; most have it there when they are accepted."""
        if self._silent and self._count() + len(self._silent) >= self._most:
            self._drop(next(iter(self._silent)))
        fd = visitor.sock.fileno()
        self._silent[fd] = visitor
        self._reactor.watch(fd, lambda _: self._listen(fd, visitor))
        self._reactor.after(self._patience, lambda: self._give_up(fd, visitor))

    def _listen(self, fd: int, visitor: PendingConnection) -> None:
        try:
            if self._look(visitor):
                # Where it belongs now, its descriptor may be watched again already.
                self._silent.pop(fd, None)
        except Exception:
            self._fail(visitor)

    def _give_up(self, fd: int, visitor: PendingConnection) -> None:
        if self._silent.get(fd) is not visitor:
            return
        left = visitor.since + self._patience - time.monotonic()
        if left > 0:
            # It was silent first: its request has all of its time.
            self._reactor.after(left, lambda: self._give_up(fd, visitor))
        else:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        visitor = self._silent.pop(fd)
        try:
            self._refuse(visitor, _LATE if visitor.seen else b"")
        except Exception:
            self._fail(visitor)

    def _look(self, visitor: PendingConnection) -> bool:
        """Send a connection where it belongs; tells whether it has said enough for that."""
        sock = visitor.sock
        try:
            head = sock.recv(LONGEST, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            head = b""
        if not visitor.seen:
            visitor.since = time.monotonic()
        if not head:
            self._refuse(visitor, b"")
        elif END in head or b"\n\n" in head or len(head) == LONGEST:
            self._direct(visitor, head)
        elif len(head) == visitor.seen:
            # Woken, and nothing more has come: nothing will.
            self._refuse(visitor, b"")
        else:
            visitor.seen = len(head)
            # What is left in its socket would wake us again and again.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(head) + 1)
            return False
        return True

    def _direct(self, visitor: PendingConnection, head: bytes) -> None:
        sock, address = visitor.sock, visitor.address
        engine = self._engine
        upgrade = read_upgrade(head, address, engine.prefix) if engine is not None else None
        is_health = self._asks_for_health(head)
        if not self._has_place(is_health=is_health):
            self._refuse(visitor, _BUSY)
        elif engine is not None and upgrade is not None and engine.accepts(upgrade):
            self._adopt(engine, visitor, upgrade)
        else:
            self._let_go(visitor)
            self._readings.expect(address, visitor.since)
            # From here on `left` has it released.
            visitor.is_counted = False
            with self._lock:
                self._handed += 1
            try:
                self._hand_over(sock, address, is_health)
            except Exception:
                self.left(address)
                raise

    def _asks_for_health(self, head: bytes) -> bool:
        """Tell whether this is a whole request for the process's health and nothing else, which cannot take long."""
        words = head[: head.find(b"\n")].split(b" ", 2)
        return (
            len(words) == 3
            and words[0] in (b"GET", b"HEAD")
            and words[1].partition(b"?")[0] in self._health
            and head.endswith((END, b"\n\n"))
            and not _MORE.search(head)
        )

    def _adopt(self, engine: Engine, visitor: PendingConnection, upgrade: UpgradeRequest) -> None:
        # From here on it counts for the address that it says, which a proxy may tell, until the engine forgets it.
        self._release(visitor)
        upgrade.environ.pop(DIRECT, None)
        if wait := self._limits.try_connect(upgrade.environ["REMOTE_ADDR"]):
            self._answer(visitor.sock, _LIMITED % max(1, math.ceil(wait)))
            return
        self._let_go(visitor)
        visitor.sock.recv(upgrade.size)
        engine.adopt(visitor.sock, upgrade)

    def _let_go(self, visitor: PendingConnection) -> None:
        self._reactor.forget(visitor.sock.fileno())
        if visitor.seen:
            visitor.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _refuse(self, visitor: PendingConnection, answer: bytes) -> None:
        self._release(visitor)
        self._answer(visitor.sock, answer)

    def _answer(self, sock: socket.socket, answer: bytes) -> None:
        """Say why, as far as the client takes it, and close."""
        try:
            if answer:
                with suppress(BlockingIOError):
                    # What is left unread would take the answer along.
                    sock.recv(LONGEST)
                sock.send(answer)
                sock.shutdown(socket.SHUT_WR)
        except OSError as fault:
            log.debug("refusal_failed", reason=str(fault))
        self._reactor.discard(sock)


def start_acceptor(
    listener: socket.socket,
    epoll: Callable[[], Poller] | None,
    wait: Callable[[Any, float], Any],
    start: Callable[[Callable[[], None]], object],
    hand_over: Dispatch,
    limits: Limits,
    readings: ReadDeadlines,
    settings: Settings,
) -> Acceptor:
    """Have connections accepted for a WSGI server that gets every websocket too: by a gate, where there is epoll.

    `wait(poller, seconds)` returns once the poller has something; `start(work)` has it done beside everything else.
    """
    if epoll is None:
        simple = BlockingAcceptor(listener, hand_over, limits)
        start(simple.run)
        return simple
    reactor = EventLoop(poller := epoll(), partial(wait, poller), start)
    gate = PeekingAcceptor(listener, reactor, None, hand_over, limits, readings, settings)
    gate.open()
    start(reactor.run)
    return gate
