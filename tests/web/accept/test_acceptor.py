"""The gate hands on what is whole, keeps what is not outside, and lets go of whoever has waited longest."""

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
from swallowtail.app.web.websocket.handshake import LONGEST
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

HEAD = b"GET /api/v1/instances HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /healthz?full=1 HTTP/1.1\r\nHost: a\r\n\r\n"


class Scene:
    """A gate without an engine, moved by hand, and who came to it."""

    def __init__(self, path: Path, **given: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.reactor = EventLoop(select.epoll(), lambda _: None, lambda work: work())
        self.handed: list[tuple[socket.socket, tuple[str, int], bool]] = []
        chosen = {"limits": "on", "max_connections": 100, "health_reserve": 2, "request_seconds": 600, **given}
        settings = make_settings(var_dir=path, **chosen)
        self.limits = Limits(settings)
        self.readings = ReadDeadlines(settings.request_seconds, 75)
        self.gate = PeekingAcceptor(
            self.listener,
            self.reactor,
            None,
            lambda *given: self.handed.append(given),
            self.limits,
            self.readings,
            settings,
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
    with suppress(ConnectionResetError):
        return client.recv(1000).partition(b"\r\n")[0]
    return b""


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
    assert (s.handed, s.gate._silent, dict(s.limits._open)) == ([], {}, {})


def test_whoever_has_waited_longest_goes_when_there_are_too_many(scene: Any) -> None:
    s = scene(max_connections=3)
    clients = [s.come(HEAD[:10]) for _ in range(5)]
    assert [answer(client) for client in clients[:2]] == [b"HTTP/1.1 408 Request Timeout"] * 2
    s.say(clients[-1], HEAD[10:])
    s.wait_for(1)


def test_a_head_that_takes_too_long_is_told_so(scene: Any) -> None:
    s = scene(request_seconds=0.001)
    client = s.come(HEAD[:10])

    def is_over() -> bool:
        s.turn()
        return not s.gate._silent

    wait_until(is_over, "it is given up")
    assert answer(client) == b"HTTP/1.1 408 Request Timeout"


def test_health_has_places_of_its_own(scene: Any) -> None:
    s = scene(max_connections=2)
    usual = [s.come(HEAD) for _ in range(3)]
    health = [s.come(HEALTH) for _ in range(3)]
    assert [is_health for _, _, is_health in s.handed] == [False, False, True, True]
    assert [answer(client) for client in (usual[2], health[2])] == [b"HTTP/1.1 503 Service Unavailable"] * 2
    for _, address, _ in s.handed:
        s.gate.left(address)
    s.come(HEAD)
    assert len(s.handed) == 5


class Waiting:
    """A request that was handed on and has a body to come, or none."""

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


def test_whoever_has_a_place_and_waits_longest_for_the_rest_of_a_request_makes_room(scene: Any) -> None:
    s = scene(max_connections=3)
    busy, first, second = (Waiting(is_reading=number > 0) for number in range(3))
    for reader in (busy, first, second):
        s.come(HEAD)
        s.readings.begin(reader, s.handed[-1][1])
    s.come(HEAD)
    assert (len(s.handed), first.cuts, second.cuts, busy.cuts) == (4, [socket.SHUT_RD], [], [])
    # It has left, which makes no room: the newcomer has its place.
    s.gate.left(s.handed[1][1])
    s.come(HEAD)
    assert (len(s.handed), second.cuts) == (5, [socket.SHUT_RD])
    assert answer(s.come(HEAD)) == b"HTTP/1.1 503 Service Unavailable", "nobody else waits for a client"


def test_those_that_were_shed_and_stay_are_bounded(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "MOST_LEAVING", 2)
    s = scene(max_connections=4)
    for _ in range(4):
        s.come(HEAD)
        s.readings.begin(Waiting(is_reading=True), s.handed[-1][1])
    for _ in range(3):
        told = s.come(HEAD)
    assert (len(s.handed), answer(told)) == (6, b"HTTP/1.1 503 Service Unavailable")
    # One that was not shed is closed: there is one place, and those that leave are as many as before.
    s.gate.left(s.handed[-1][1])
    s.come(HEAD)
    assert (len(s.handed), answer(s.come(HEAD))) == (7, b"HTTP/1.1 503 Service Unavailable")
    s.gate.left(s.handed[0][1])
    s.come(HEAD)
    assert (len(s.handed), s.readings.leaving) == (8, 2)


def test_one_whose_handler_works_makes_no_room_and_keeps_its_answer(scene: Any) -> None:
    s = scene(max_connections=2)
    works, waits = Waiting(is_reading=True, is_busy=True), Waiting(is_reading=True)
    for reader in (works, waits):
        s.come(HEAD)
        s.readings.begin(reader, s.handed[-1][1])
    s.come(HEAD)
    assert (works.cuts, waits.cuts) == ([], [socket.SHUT_RD])
    late = time.monotonic() + 10_000
    s.readings.look(late)
    assert works.cuts == [], "it is not cut while it works, late as it is"
    works.is_busy = False
    s.readings.look(late)
    assert works.cuts == [socket.SHUT_RD], "but as soon as it waits for its client again"


def test_silence_before_the_first_byte_is_no_time_of_the_request(scene: Any) -> None:
    s = scene(request_seconds=600)
    client = s.come()
    (visitor,) = s.gate._silent.values()
    visitor.since -= 599
    s.say(client, HEAD)
    s.wait_for(1)
    reader = Waiting(is_reading=True)
    s.readings.begin(reader, s.handed[0][1])
    s.readings.look(time.monotonic() + 590)
    assert reader.cuts == []
    s.readings.look(time.monotonic() + 601)
    assert reader.cuts == [socket.SHUT_RD]


def test_half_a_head_has_its_time_from_its_first_byte(scene: Any) -> None:
    s = scene(request_seconds=600)
    client = s.come()
    ((fd, visitor),) = s.gate._silent.items()
    visitor.since -= 599
    s.say(client, HEAD[:10])
    s.gate._give_up(fd, visitor)
    assert s.gate._silent == {fd: visitor}, "the time of its silence is over, that of its request is not"
    visitor.since -= 600
    s.gate._give_up(fd, visitor)
    assert (answer(client), s.gate._silent) == (b"HTTP/1.1 408 Request Timeout", {})


def test_who_was_slow_with_the_head_has_less_time_for_the_body(scene: Any) -> None:
    s = scene()
    client = s.come(HEAD[:10])
    (visitor,) = s.gate._silent.values()
    s.say(client, HEAD[10:])
    s.wait_for(1)
    reader = Waiting(is_reading=True)
    s.readings.begin(reader, s.handed[0][1])
    s.readings.look(visitor.since + 599)
    assert reader.cuts == []
    s.readings.look(visitor.since + 600)
    assert reader.cuts == [socket.SHUT_RD]


@pytest.mark.parametrize(
    "line", [b"Content-Length: 99", b"content-length : 9", b"Transfer-Encoding: chunked", b"Upgrade: websocket"]
)
def test_who_asks_for_health_and_more_has_no_place_of_healths(scene: Any, line: bytes) -> None:
    s = scene()
    s.come(HEALTH.replace(b"Host: a", b"Host: a\r\n" + line))
    s.come(HEALTH + b"GET")
    s.come(HEALTH[:-4] + b"\r\nX: ".ljust(LONGEST, b"x"))
    assert [is_health for _, _, is_health in s.handed] == [False] * 3


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz?a=b", b"/some/where/healthz", b"/some/where/readyz"])
def test_health_is_asked_for_under_the_prefix_or_without(scene: Any, path: bytes) -> None:
    s = scene(url_prefix="/some/where")
    s.come(HEALTH.replace(b"/healthz?full=1", path))
    assert [is_health for _, _, is_health in s.handed] == [True]


@pytest.mark.parametrize("prefix", ["", "/some/where"])
def test_no_other_address_that_ends_so_has_a_place_of_healths(scene: Any, prefix: str) -> None:
    s = scene(url_prefix=prefix)
    asked = ["/socket.io/healthz?EIO=4&transport=polling", "/socket.io//readyz", "/%73ocket.io/healthz", "//healthz"]
    asked += [f"/some/where{path}" for path in asked] + ["/some/healthz", "/%68ealthz", "http://a/healthz"]
    for path in asked:
        s.come(HEALTH.replace(b"/healthz?full=1", path.encode()))
    assert [is_health for _, _, is_health in s.handed] == [False] * len(asked)


def test_what_goes_wrong_with_one_visitor_is_nobody_elses_business(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene(max_address_connections=4)
    take, faults = s.gate._hand_over, iter([RuntimeError] * 2)

    def hand_over(*given: Any) -> None:
        for fault in faults:
            raise fault
        take(*given)

    s.gate._hand_over = hand_over
    first, second = s.come(HEAD), s.come(HEAD[:10])
    s.say(second, HEAD[10:])
    assert (answer(first), answer(second), s.handed) == (b"", b"", [])
    with monkeypatch.context() as patch:
        patch.setattr(s.limits, "hold", lambda peer: 1 / 0)
        assert answer(s.come(HEAD)) == b""
    with monkeypatch.context() as patch:
        patch.setattr(s.reactor, "watch", lambda *given: 1 / 0)
        assert answer(s.come(HEAD[:10])) == b""
    assert (dict(s.limits._open), s.gate._silent, s.gate._count()) == ({}, {}, 0), "each was released once"
    for number in range(4):
        s.come(HEAD)
        assert len(s.handed) == number + 1
    assert answer(s.come(HEAD)) == b"HTTP/1.1 429 Too Many Requests"


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
    assert (len(s.handed), dict(s.limits._open)) == (5, {})
