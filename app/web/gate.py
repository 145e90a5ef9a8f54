"""Accepts connections: what asks for a websocket goes to the engine, anything else to the WSGI server. Before the road.

A request is looked at without being taken from its socket, so that whoever answers it finds it whole. It is handed on
once its head is there, and until then costs no greenlet and no place; when there are too many that wait, the one that
has waited longest goes. What asks for the health of the process has places of its own.
"""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog

from app.web.fast_engine import Engine
from app.web.limits import TOO_MANY_HERE, Limits
from app.web.reactor import Reactor
from app.web.upgrade import END, LONGEST, Upgrade, read_upgrade

log = structlog.get_logger(__name__)

#: Connections accepted before those that are open have a turn.
AT_ONCE = 128
#: Pause, in seconds, when the process has no descriptors left.
REST = 0.5
_SPENT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#: The ends of addresses under which machines ask for the health of the process.
_HEALTH = (b"/healthz", b"/readyz")

Address = tuple[str, int]
#: Takes a connection whose request is to be answered; the last says whether it asks for the health of the process.
HandOver = Callable[[socket.socket, Address, bool], None]


class _Visitor:
    """A connection whose request is not all there."""

    __slots__ = ("address", "seen", "sock")

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self.sock = sock
        self.address = address
        #: Bytes that have come.
        self.seen = 0


class Gate:
    """The listening socket of one process."""

    def __init__(
        self,
        listener: socket.socket,
        reactor: Reactor,
        engine: Engine | None,
        hand_over: HandOver,
        limits: Limits,
        *,
        most: int,
        reserve: int,
        patience: float,
    ) -> None:
        """`most` connections at once, and `reserve` more for health; a head has `patience` seconds to come.

        Without an engine every websocket is the WSGI server's.
        """
        listener.setblocking(False)
        self._listener = listener
        self._reactor = reactor
        self._engine = engine
        self._hand_over = hand_over
        self._limits = limits
        self._most = most
        self._reserve = reserve
        self._patience = patience
        #: By descriptor, the one first that has waited longest.
        self._silent: dict[int, _Visitor] = {}
        self._handed = 0

    def open(self) -> None:
        """Begin to accept."""
        self._reactor.watch(self._listener.fileno(), lambda _: self._accept())

    def close(self) -> None:
        """Accept nobody any more."""
        self._reactor.discard(self._listener)

    def left(self, address: Address) -> None:
        """Learn that a connection which was handed over is closed."""
        self._handed -= 1
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
            sock.setblocking(False)
            if not self._limits.hold(address[0]):
                self._answer(sock, TOO_MANY_HERE)
                continue
            visitor = _Visitor(sock, address)
            if not self._look(visitor):
                self._keep(visitor)

    def _rest(self, fault: OSError) -> None:
        if self._silent:
            # Better one that says nothing than all that come.
            self._drop(next(iter(self._silent)))
            return
        log.warning("accept_postponed", reason=str(fault))
        self._reactor.forget(self._listener.fileno())
        self._reactor.after(REST, self.open)

    def _count(self) -> int:
        return self._handed + (len(self._engine) if self._engine is not None else 0)

    def _keep(self, visitor: _Visitor) -> None:
        """Wait for the rest of a head; most have it there when they are accepted."""
        if self._silent and self._count() + len(self._silent) >= self._most:
            self._drop(next(iter(self._silent)))
        fd = visitor.sock.fileno()
        self._silent[fd] = visitor
        self._reactor.watch(fd, lambda _: self._listen(fd, visitor))
        self._reactor.after(self._patience, lambda: self._give_up(fd, visitor))

    def _listen(self, fd: int, visitor: _Visitor) -> None:
        if self._look(visitor):
            # Where it belongs now, its descriptor may be watched again already.
            self._silent.pop(fd, None)

    def _give_up(self, fd: int, visitor: _Visitor) -> None:
        if self._silent.get(fd) is visitor:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        visitor = self._silent.pop(fd)
        self._refuse(visitor, _LATE if visitor.seen else b"")

    def _look(self, visitor: _Visitor) -> bool:
        """Send a connection where it belongs; tells whether it has said enough for that."""
        sock = visitor.sock
        try:
            head = sock.recv(LONGEST, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            head = b""
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

    def _direct(self, visitor: _Visitor, head: bytes) -> None:
        sock, address = visitor.sock, visitor.address
        engine = self._engine
        upgrade = read_upgrade(head, address, engine.prefix) if engine is not None else None
        is_health = _asks_for_health(head)
        if self._count() >= self._most + (self._reserve if is_health else 0):
            self._refuse(visitor, _BUSY)
        elif engine is not None and upgrade is not None and engine.accepts(upgrade):
            self._adopt(engine, visitor, upgrade)
        else:
            self._let_go(visitor)
            self._handed += 1
            self._hand_over(sock, address, is_health)

    def _adopt(self, engine: Engine, visitor: _Visitor, upgrade: Upgrade) -> None:
        if wait := self._limits.try_connect(upgrade.environ["REMOTE_ADDR"]):
            self._refuse(visitor, _LIMITED % max(1, math.ceil(wait)))
            return
        self._let_go(visitor)
        visitor.sock.recv(upgrade.size)
        # From here on it counts among the open connections of its address.
        self._limits.release(visitor.address[0])
        engine.adopt(visitor.sock, upgrade)

    def _let_go(self, visitor: _Visitor) -> None:
        self._reactor.forget(visitor.sock.fileno())
        if visitor.seen:
            visitor.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _refuse(self, visitor: _Visitor, answer: bytes) -> None:
        self._limits.release(visitor.address[0])
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


def _asks_for_health(head: bytes) -> bool:
    words = head[: head.find(b"\n")].split(b" ", 2)
    return len(words) == 3 and words[0] in (b"GET", b"HEAD") and words[1].partition(b"?")[0].endswith(_HEALTH)
