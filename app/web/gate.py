"""Accepts connections: what asks for a websocket goes to the engine, anything else to the WSGI server. Before the road.

A request is looked at without being taken from its socket, so that whoever answers it finds it whole.
"""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Callable

import structlog

from app.web.fast_engine import Engine
from app.web.reactor import Reactor
from app.web.upgrade import LONGEST, read_upgrade

log = structlog.get_logger(__name__)

#: Connections accepted before those that are open have a turn.
AT_ONCE = 128
#: Pause, in seconds, when the process has no descriptors left.
REST = 0.5
_SPENT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LIMITED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Admit = Callable[[str], float]
HandOver = Callable[[socket.socket, tuple[str, int]], None]


class Gate:
    """The listening socket of one process."""

    def __init__(
        self,
        listener: socket.socket,
        reactor: Reactor,
        engine: Engine,
        hand_over: HandOver,
        *,
        most: int,
        patience: float,
        admit: Admit,
    ) -> None:
        """`most` websockets at once; a connection that says nothing for `patience` seconds is closed.

        `admit` counts a websocket that an address wants, and tells how many seconds too early it comes.
        """
        listener.setblocking(False)
        self._listener = listener
        self._reactor = reactor
        self._engine = engine
        self._hand_over = hand_over
        self._most = most
        self._patience = patience
        self._admit = admit
        self._silent: dict[int, socket.socket] = {}

    def open(self) -> None:
        """Begin to accept."""
        self._reactor.watch(self._listener.fileno(), lambda _: self._accept())

    def close(self) -> None:
        """Accept nobody any more."""
        self._reactor.discard(self._listener)

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
            self._take(sock, address)

    def _rest(self, fault: OSError) -> None:
        log.warning("accept_postponed", reason=str(fault))
        self._reactor.forget(self._listener.fileno())
        self._reactor.after(REST, self.open)

    def _take(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """Look at a new connection; most have sent their request by now."""
        if not self._look(sock, address):
            fd = sock.fileno()
            self._silent[fd] = sock
            self._reactor.watch(fd, lambda _: self._listen(fd, sock, address))
            self._reactor.after(self._patience, lambda: self._give_up(fd, sock))

    def _listen(self, fd: int, sock: socket.socket, address: tuple[str, int]) -> None:
        del self._silent[fd]
        self._reactor.forget(fd)
        if not self._look(sock, address):
            self._take(sock, address)

    def _give_up(self, fd: int, sock: socket.socket) -> None:
        if self._silent.get(fd) is sock:
            del self._silent[fd]
            self._reactor.discard(sock)

    def _look(self, sock: socket.socket, address: tuple[str, int]) -> bool:
        """Send a connection where it belongs; tells whether it has said enough for that."""
        try:
            head = sock.recv(LONGEST, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            head = b""
        if not head:
            self._reactor.discard(sock)
            return True
        upgrade = read_upgrade(head, address, self._engine.prefix)
        if upgrade is None or not self._engine.accepts(upgrade):
            self._hand_over(sock, address)
        elif len(self._engine) >= self._most:
            self._refuse(sock, _BUSY)
        elif wait := self._admit(upgrade.environ["REMOTE_ADDR"]):
            self._refuse(sock, _LIMITED % max(1, math.ceil(wait)))
        else:
            sock.recv(upgrade.size)
            self._engine.adopt(sock, upgrade)
        return True

    def _refuse(self, sock: socket.socket, answer: bytes) -> None:
        try:
            sock.recv(LONGEST)
            sock.send(answer)
            sock.shutdown(socket.SHUT_WR)
        except OSError as fault:
            log.debug("refusal_failed", reason=str(fault))
        self._reactor.discard(sock)
