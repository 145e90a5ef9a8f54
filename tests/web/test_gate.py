"""The gate hands on what is whole, keeps what is not outside, and lets go of whoever has waited longest."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.settings import Settings
from app.web.gate import Gate
from app.web.limits import Limits
from app.web.reactor import Reactor
from tests.harness.waiting import wait_until

HEAD = b"GET /api/v1/instances HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /healthz?full=1 HTTP/1.1\r\nHost: a\r\n\r\n"


class Scene:
    """A gate without an engine, moved by hand, and who came to it."""

    def __init__(self, path: Path, *, most: int = 100, patience: float = 600, **settings: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.reactor = Reactor(select.epoll(), lambda _: None, lambda work: work())
        self.handed: list[tuple[socket.socket, tuple[str, int], bool]] = []
        self.limits = Limits(Settings(_env_file=None, var_dir=path, limits="on", **settings))
        self.gate = Gate(
            self.listener,
            self.reactor,
            None,
            lambda *given: self.handed.append(given),
            self.limits,
            most=most,
            reserve=2,
            patience=patience,
        )
        self.gate.open()
        self.clients: list[socket.socket] = []

    def come(self, said: bytes = b"") -> socket.socket:
        client = socket.create_connection(self.listener.getsockname())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients.append(client)
        self.say(client, said)
        return client

    def say(self, client: socket.socket, said: bytes) -> None:
        client.sendall(said)
        self.turn()

    def turn(self) -> None:
        for _ in range(3):
            self.reactor.turn()

    def wait_for(self, number: int) -> None:
        """Turn until so many have been handed on."""

        def are_handed() -> bool:
            self.reactor.turn()
            return len(self.handed) == number

        wait_until(are_handed, f"{number} are handed on")

    def close(self) -> None:
        silent = [visitor.sock for visitor in self.gate._silent.values()]
        for one in [*self.clients, *silent, *[sock for sock, _, _ in self.handed]]:
            one.close()
        self.gate.close()
        self.limits.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Any]:
    made: list[Scene] = []

    def make(**options: Any) -> Scene:
        made.append(Scene(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def answer(client: socket.socket) -> bytes:
    """The first line of what a client was told; nothing if it was only closed."""
    client.settimeout(10)
    return client.recv(1000).partition(b"\r\n")[0]


def test_a_request_is_handed_on_whole_once_its_head_is_there(scene: Any) -> None:
    s = scene()
    client = s.come(HEAD[:10])
    for byte in HEAD[10:-1]:
        s.say(client, bytes((byte,)))
    assert s.handed == []
    s.say(client, HEAD[-1:])
    s.wait_for(1)
    ((sock, address, is_health),) = s.handed
    assert (sock.recv(1000), address, is_health) == (HEAD, client.getsockname(), False)
    s.say(client, b"x")
    assert (sock.recv(1000), len(s.handed)) == (b"x", 1), "it is the server's now"


def test_a_head_that_is_not_all_there_does_not_wake_the_loop_again_and_again(scene: Any) -> None:
    s = scene()
    s.come(HEAD[:10])
    assert s.reactor._poller.poll(0, 10) == []


@pytest.mark.parametrize("said", [b"", HEAD[:10]])
def test_a_client_that_goes_is_forgotten(scene: Any, said: bytes) -> None:
    s = scene()
    client = s.come(said)
    client.shutdown(socket.SHUT_WR)
    s.turn()
    assert (s.handed, s.gate._silent, dict(s.limits._sockets)) == ([], {}, {})


def test_whoever_has_waited_longest_goes_when_there_are_too_many(scene: Any) -> None:
    s = scene(most=3)
    clients = [s.come(HEAD[:10]) for _ in range(5)]
    assert [answer(client) for client in clients[:2]] == [b"HTTP/1.1 408 Request Timeout"] * 2
    s.say(clients[-1], HEAD[10:])
    s.wait_for(1)


def test_a_head_that_takes_too_long_is_told_so(scene: Any) -> None:
    s = scene(patience=0)
    client = s.come(HEAD[:10])
    assert answer(client) == b"HTTP/1.1 408 Request Timeout"


def test_health_has_places_of_its_own(scene: Any) -> None:
    s = scene(most=2)
    usual = [s.come(HEAD) for _ in range(3)]
    health = [s.come(HEALTH) for _ in range(3)]
    assert [is_health for _, _, is_health in s.handed] == [False, False, True, True]
    assert [answer(client) for client in (usual[2], health[2])] == [b"HTTP/1.1 503 Service Unavailable"] * 2
    for _, address, _ in s.handed:
        s.gate.left(address)
    s.come(HEAD)
    assert len(s.handed) == 5


def test_an_address_has_only_so_many_until_they_are_closed(scene: Any) -> None:
    s = scene(max_address_connections=2)
    s.come(HEAD)
    s.come(HEAD[:10])
    assert answer(s.come(HEALTH)) == b"HTTP/1.1 429 Too Many Requests"
    s.gate.left(s.handed[0][1])
    s.come(HEAD)
    assert len(s.handed) == 2


@pytest.mark.parametrize("proxies", ["127.0.0.0/8", "1"])
def test_a_trusted_proxy_has_as_many_as_it_wants(scene: Any, proxies: str) -> None:
    s = scene(max_address_connections=2, trusted_proxies=proxies, auth="required")
    for _ in range(5):
        s.come(HEAD)
    assert (len(s.handed), dict(s.limits._sockets)) == (5, {})
