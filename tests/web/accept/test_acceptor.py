"""The acceptor dispatches complete requests, holds incomplete ones back, and drops those that have waited longest."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.harness.waiting import wait_until
from tests.web.accept.acceptor_scene import HEAD, HEALTH, answer


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
    s.served.remove(s.dispatched[0][1])
    s.connect(HEAD)
    assert len(s.dispatched) == 2


@pytest.mark.parametrize("proxies", ["127.0.0.0/8", "1"])
def test_a_trusted_proxy_has_no_connection_limit(scene: Any, proxies: str) -> None:
    s = scene(max_address_connections=2, trusted_proxies=proxies, auth="required")
    for _ in range(5):
        s.connect(HEAD)
    assert (len(s.dispatched), dict(s.limits._open)) == (5, {})
