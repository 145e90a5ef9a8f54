"""An acceptor on a real listening socket, driven by the test, and its clients."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from swallowtail.app.web.accept.acceptor import PeekingAcceptor
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.served_connections import ServedConnections
from swallowtail.app.web.http.trusted_proxies import TrustedProxies
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.websocket.event_loop import EventLoop
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

HEAD = b"GET /api/v1/instances HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /healthz?full=1 HTTP/1.1\r\nHost: a\r\n\r\n"


class Scene:
    """An acceptor without an engine, driven by the test, and its clients."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.loop = EventLoop(select.epoll(), lambda _: None, lambda work: work())
        self.dispatched: list[tuple[socket.socket, tuple[str, int], bool]] = []
        values = {"limits": "on", "max_connections": 100, "health_reserve": 2, "request_seconds": 600, **options}
        settings = make_settings(var_dir=path, **values)
        self.limits = Limits(settings, TrustedProxies(settings.trusted_proxies))
        self.deadlines = ReadDeadlines(settings.request_seconds, 75)
        self.served = ServedConnections(self.limits, self.deadlines)
        self.acceptor = PeekingAcceptor(
            self.listener,
            self.loop,
            None,
            lambda *connection: self.dispatched.append(connection),
            self.served,
            self.limits,
            settings,
        )
        self.acceptor.start()
        self.clients: list[socket.socket] = []

    def connect(self, data: bytes = b"") -> socket.socket:
        client = socket.create_connection(self.listener.getsockname())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients.append(client)
        self.send(client, data)
        return client

    def send(self, client: socket.socket, data: bytes) -> None:
        client.sendall(data)
        self.run_loop()

    def run_loop(self) -> None:
        for _ in range(3):
            self.loop.run_once()

    def wait_for(self, number: int) -> None:
        """Run the loop until so many connections are dispatched."""

        def are_dispatched() -> bool:
            self.loop.run_once()
            return len(self.dispatched) == number

        wait_until(are_dispatched, f"{number} are dispatched")

    def close(self) -> None:
        pending = [one.sock for one in self.acceptor._pending.values()]
        for one in [*self.clients, *pending, *[sock for sock, _, _ in self.dispatched]]:
            one.close()
        self.acceptor.close()
        self.limits.close()


def answer(client: socket.socket) -> bytes:
    """The first line of a client's response; nothing if it was only closed."""
    client.settimeout(10)
    with suppress(ConnectionResetError):
        return client.recv(1000).partition(b"\r\n")[0]
    return b""
