"""The acceptor dispatches complete requests, holds incomplete ones back, and drops those that have waited longest."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.web.accept import acceptor
from swallowtail.app.web.accept.acceptor import PeekingAcceptor
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.app.web.websocket.handshake import MAX_HEAD
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
        chosen = {"limits": "on", "max_connections": 100, "health_reserve": 2, "request_seconds": 600, **options}
        settings = make_settings(var_dir=path, **chosen)
        self.limits = Limits(settings)
        self.deadlines = ReadDeadlines(settings.request_seconds, 75)
        self.acceptor = PeekingAcceptor(
            self.listener,
            self.loop,
            None,
            lambda *connection: self.dispatched.append(connection),
            self.limits,
            self.deadlines,
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
    """The first line of a client's response; nothing if it was only closed."""
    client.settimeout(10)
    with suppress(ConnectionResetError):
        return client.recv(1000).partition(b"\r\n")[0]
    return b""


def test_a_request_is_dispatched_whole_once_its_head_is_complete(scene: Any) -> None:
    s = scene()
    client = s.connect(HEAD[:10])
    for byte in HEAD[10:-1]:
        s.send(client, bytes((byte,)))
    assert s.dispatched == []
    s.send(client, HEAD[-1:])
    s.wait_for(1)
    ((sock, address, is_health),) = s.dispatched
    assert (sock.recv(1000), address, is_health) == (HEAD, client.getsockname(), False)
    s.send(client, b"x")
    assert (sock.recv(1000), len(s.dispatched)) == (b"x", 1), "the server owns it now"


def test_an_incomplete_head_does_not_wake_the_loop_again_and_again(scene: Any) -> None:
    s = scene()
    s.connect(HEAD[:10])
    assert s.loop._poller.poll(0, 10) == []


@pytest.mark.parametrize("data", [b"", HEAD[:10]])
def test_a_client_that_disconnects_is_forgotten(scene: Any, data: bytes) -> None:
    s = scene()
    client = s.connect(data)
    client.shutdown(socket.SHUT_WR)
    s.run_loop()
    assert (s.dispatched, s.acceptor._pending, dict(s.limits._open)) == ([], {}, {})


def test_the_oldest_incomplete_head_is_dropped_when_there_are_too_many(scene: Any) -> None:
    s = scene(max_connections=3)
    clients = [s.connect(HEAD[:10]) for _ in range(5)]
    assert [answer(client) for client in clients[:2]] == [b"HTTP/1.1 408 Request Timeout"] * 2
    s.send(clients[-1], HEAD[10:])
    s.wait_for(1)


def test_a_head_that_takes_too_long_gets_408(scene: Any) -> None:
    s = scene(request_seconds=0.001)
    client = s.connect(HEAD[:10])

    def is_over() -> bool:
        s.run_loop()
        return not s.acceptor._pending

    wait_until(is_over, "it is dropped")
    assert answer(client) == b"HTTP/1.1 408 Request Timeout"


def test_health_checks_have_reserved_connections(scene: Any) -> None:
    s = scene(max_connections=2)
    usual = [s.connect(HEAD) for _ in range(3)]
    health = [s.connect(HEALTH) for _ in range(3)]
    assert [is_health for _, _, is_health in s.dispatched] == [False, False, True, True]
    assert [answer(client) for client in (usual[2], health[2])] == [b"HTTP/1.1 503 Service Unavailable"] * 2
    for _, address, _ in s.dispatched:
        s.acceptor.connection_closed(address)
    s.connect(HEAD)
    assert len(s.dispatched) == 5


class FakeReader:
    """A dispatched request, with or without a body that is still to come."""

    def __init__(self, *, is_reading: bool, is_busy: bool = False) -> None:
        self.waits = is_reading
        self.is_busy = is_busy
        self.cuts: list[int] = []

    def is_reading(self) -> bool:
        return self.waits

    def is_waiting(self) -> bool:
        return self.waits and not self.is_busy

    def cut(self, how: int) -> None:
        self.cuts.append(how)


def test_the_connection_that_waits_longest_for_the_rest_of_its_request_is_shed(scene: Any) -> None:
    s = scene(max_connections=3)
    busy, first, second = (FakeReader(is_reading=number > 0) for number in range(3))
    for reader in (busy, first, second):
        s.connect(HEAD)
        s.deadlines.begin(reader, s.dispatched[-1][1])
    s.connect(HEAD)
    assert (len(s.dispatched), first.cuts, second.cuts, busy.cuts) == (4, [socket.SHUT_RD], [], [])
    # The shed connection has closed; the new one already has its place.
    s.acceptor.connection_closed(s.dispatched[1][1])
    s.connect(HEAD)
    assert (len(s.dispatched), second.cuts) == (5, [socket.SHUT_RD])
    assert answer(s.connect(HEAD)) == b"HTTP/1.1 503 Service Unavailable", "no other waits for its client"


def test_shed_connections_that_stay_open_are_limited(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "MAX_SHED", 2)
    s = scene(max_connections=4)
    for _ in range(4):
        s.connect(HEAD)
        s.deadlines.begin(FakeReader(is_reading=True), s.dispatched[-1][1])
    for _ in range(3):
        last = s.connect(HEAD)
    assert (len(s.dispatched), answer(last)) == (6, b"HTTP/1.1 503 Service Unavailable")
    # One that was not shed closes: one place is free, and as many shed connections as before are open.
    s.acceptor.connection_closed(s.dispatched[-1][1])
    s.connect(HEAD)
    assert (len(s.dispatched), answer(s.connect(HEAD))) == (7, b"HTTP/1.1 503 Service Unavailable")
    s.acceptor.connection_closed(s.dispatched[0][1])
    s.connect(HEAD)
    assert (len(s.dispatched), s.deadlines.shed_count) == (8, 2)


def test_a_connection_whose_handler_works_is_not_shed_and_keeps_its_response(scene: Any) -> None:
    s = scene(max_connections=2)
    works, waits = FakeReader(is_reading=True, is_busy=True), FakeReader(is_reading=True)
    for reader in (works, waits):
        s.connect(HEAD)
        s.deadlines.begin(reader, s.dispatched[-1][1])
    s.connect(HEAD)
    assert (works.cuts, waits.cuts) == ([], [socket.SHUT_RD])
    late = time.monotonic() + 10_000
    s.deadlines.check(late)
    assert works.cuts == [], "it is not cut while it works, late as it is"
    works.is_busy = False
    s.deadlines.check(late)
    assert works.cuts == [socket.SHUT_RD], "it is cut as soon as it waits for its client again"


def test_the_pause_before_the_first_byte_does_not_count_for_the_request(scene: Any) -> None:
    s = scene(request_seconds=600)
    client = s.connect()
    (pending,) = s.acceptor._pending.values()
    pending.since -= 599
    s.send(client, HEAD)
    s.wait_for(1)
    reader = FakeReader(is_reading=True)
    s.deadlines.begin(reader, s.dispatched[0][1])
    s.deadlines.check(time.monotonic() + 590)
    assert reader.cuts == []
    s.deadlines.check(time.monotonic() + 601)
    assert reader.cuts == [socket.SHUT_RD]


def test_half_a_head_has_its_time_from_its_first_byte(scene: Any) -> None:
    s = scene(request_seconds=600)
    client = s.connect()
    ((fd, pending),) = s.acceptor._pending.items()
    pending.since -= 599
    s.send(client, HEAD[:10])
    s.acceptor._time_out(fd, pending)
    assert s.acceptor._pending == {fd: pending}, "the pause is over, the deadline of the request is not"
    pending.since -= 600
    s.acceptor._time_out(fd, pending)
    assert (answer(client), s.acceptor._pending) == (b"HTTP/1.1 408 Request Timeout", {})


def test_a_slow_head_leaves_less_time_for_the_body(scene: Any) -> None:
    s = scene()
    client = s.connect(HEAD[:10])
    (pending,) = s.acceptor._pending.values()
    s.send(client, HEAD[10:])
    s.wait_for(1)
    reader = FakeReader(is_reading=True)
    s.deadlines.begin(reader, s.dispatched[0][1])
    s.deadlines.check(pending.since + 599)
    assert reader.cuts == []
    s.deadlines.check(pending.since + 600)
    assert reader.cuts == [socket.SHUT_RD]


@pytest.mark.parametrize(
    "line", [b"Content-Length: 99", b"content-length : 9", b"Transfer-Encoding: chunked", b"Upgrade: websocket"]
)
def test_a_health_check_with_more_to_come_gets_no_reserved_connection(scene: Any, line: bytes) -> None:
    s = scene()
    s.connect(HEALTH.replace(b"Host: a", b"Host: a\r\n" + line))
    s.connect(HEALTH + b"GET")
    s.connect(HEALTH[:-4] + b"\r\nX: ".ljust(MAX_HEAD, b"x"))
    assert [is_health for _, _, is_health in s.dispatched] == [False] * 3


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz?a=b", b"/some/where/healthz", b"/some/where/readyz"])
def test_health_checks_work_with_and_without_the_prefix(scene: Any, path: bytes) -> None:
    s = scene(url_prefix="/some/where")
    s.connect(HEALTH.replace(b"/healthz?full=1", path))
    assert [is_health for _, _, is_health in s.dispatched] == [True]


@pytest.mark.parametrize("prefix", ["", "/some/where"])
def test_no_other_path_that_ends_so_gets_a_reserved_connection(scene: Any, prefix: str) -> None:
    s = scene(url_prefix=prefix)
    asked = ["/socket.io/healthz?EIO=4&transport=polling", "/socket.io//readyz", "/%73ocket.io/healthz", "//healthz"]
    asked += [f"/some/where{path}" for path in asked] + ["/some/healthz", "/%68ealthz", "http://a/healthz"]
    for path in asked:
        s.connect(HEALTH.replace(b"/healthz?full=1", path.encode()))
    assert [is_health for _, _, is_health in s.dispatched] == [False] * len(asked)


def test_an_error_with_one_connection_does_not_affect_the_others(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene(max_address_connections=4)
    dispatch, faults = s.acceptor._dispatch, iter([RuntimeError] * 2)

    def dispatch_or_fail(*connection: Any) -> None:
        for fault in faults:
            raise fault
        dispatch(*connection)

    s.acceptor._dispatch = dispatch_or_fail
    first, second = s.connect(HEAD), s.connect(HEAD[:10])
    s.send(second, HEAD[10:])
    assert (answer(first), answer(second), s.dispatched) == (b"", b"", [])
    with monkeypatch.context() as patch:
        patch.setattr(s.limits, "acquire_socket", lambda peer: 1 / 0)
        assert answer(s.connect(HEAD)) == b""
    with monkeypatch.context() as patch:
        patch.setattr(s.loop, "watch", lambda *arguments: 1 / 0)
        assert answer(s.connect(HEAD[:10])) == b""
    assert (dict(s.limits._open), s.acceptor._pending, s.acceptor._count()) == ({}, {}, 0), "each was released once"
    for number in range(4):
        s.connect(HEAD)
        assert len(s.dispatched) == number + 1
    assert answer(s.connect(HEAD)) == b"HTTP/1.1 429 Too Many Requests"


def test_an_address_has_a_limited_number_of_open_connections(scene: Any) -> None:
    s = scene(max_address_connections=2)
    s.connect(HEAD)
    s.connect(HEAD[:10])
    assert answer(s.connect(HEALTH)) == b"HTTP/1.1 429 Too Many Requests"
    s.acceptor.connection_closed(s.dispatched[0][1])
    s.connect(HEAD)
    assert len(s.dispatched) == 2


@pytest.mark.parametrize("proxies", ["127.0.0.0/8", "1"])
def test_a_trusted_proxy_has_no_connection_limit(scene: Any, proxies: str) -> None:
    s = scene(max_address_connections=2, trusted_proxies=proxies, auth="required")
    for _ in range(5):
        s.connect(HEAD)
    assert (len(s.dispatched), dict(s.limits._open)) == (5, {})
