"""Requests that never arrive completely delay no other client, and are closed."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from tests.harness.deployment import Deployment
from tests.harness.processes import WebProcess
from tests.harness.waiting import wait_until
from tests.journey.limits.test_floods import UPGRADE

pytestmark = [pytest.mark.journey, pytest.mark.long]
#: Every server mode: two engines under eventlet, and the other servers.
WAYS: dict[str, dict[str, Any]] = {
    "fast": {},
    "stock": {"engine": "stock"},
    "gevent": {"async_mode": "gevent"},
    "threading": {"async_mode": "threading"},
}
HALF_HEAD = b"GET /api/v1/instances HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
HALF_BODY = (
    b"POST /api/v1/instances HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 999\r\n\r\n{"
)
#: Complete heads with an incomplete body.
ENDLESS = {
    "a little": HALF_BODY,
    "nothing": HALF_BODY[:-1],
    "1 GB": HALF_BODY.replace(b"999", b"%d" % 10**9),
    "asked": HALF_BODY[:-1].replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
    "pieces": HALF_BODY[:-1].replace(b"Content-Length: 999", b"Transfer-Encoding: chunked") + b"1\r\n{\r\n",
    "of health": HALF_BODY.replace(b"POST /api/v1/instances", b"GET /healthz"),
    "none, and no other request": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Crowd:
    """Connections of one address."""

    def __init__(self, web: WebProcess) -> None:
        self._web = web
        self.open: list[socket.socket] = []
        # One connection per request, and no certificate store is loaded for it.
        self.client = httpx2.Client(verify=False, timeout=30, headers={"Connection": "close"})

    def send(self, what: bytes, times: int = 1) -> list[socket.socket]:
        sockets = [socket.create_connection(("127.0.0.1", self._web.port), timeout=30) for _ in range(times)]
        self.open += sockets
        for one in sockets:
            one.sendall(what)
        return sockets

    def close(self) -> None:
        for one in self.open:
            one.close()
        self.open.clear()


@pytest.fixture
def crowd_of(new_deployment: Callable[..., Deployment]) -> Iterator[Callable[..., Crowd]]:
    crowds: list[Crowd] = []

    def make(way: str, **env: Any) -> Crowd:
        crowds.append(Crowd(new_deployment(env={**WAYS[way], **env}).start_web()))
        return crowds[-1]

    yield make
    for crowd in crowds:
        crowd.close()
        crowd.client.close()


def ask(crowd: Crowd, path: str) -> int:
    return crowd.client.get(crowd._web.url + path).status_code


def has_ended(one: socket.socket, drip: bytes = b"") -> bool:
    """Return whether the server has closed a connection that sends a byte now and then."""
    try:
        if drip:
            one.sendall(drip)
        one.settimeout(0.2)
        return one.recv(1000) == b"" or has_ended(one)
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("way", WAYS)
def test_incomplete_requests_keep_no_client_out(way: str, crowd_of: Callable[..., Crowd]) -> None:
    crowd = crowd_of(way, max_connections=20, request_seconds=600)
    crowd.send(HALF_HEAD, 60)
    assert [ask(crowd, path) for path in ("/healthz", "/readyz", "/api/v1/instances")] == [200, 200, 200]
    for what in ENDLESS.values():
        crowd.send(what, 25)
        assert [ask(crowd, path) for path in ("/healthz", "/api/v1/instances", "/readyz")] == [200, 200, 200], what
    assert "Traceback" not in crowd._web.log_text()


@pytest.mark.parametrize("way", WAYS)
def test_health_checks_are_served_when_all_connections_are_in_use(way: str, crowd_of: Callable[..., Crowd]) -> None:
    crowd = crowd_of(way, max_connections=20, request_seconds=600)
    assert {one.recv(4096)[:12] for one in crowd.send(UPGRADE, 20)} == {b"HTTP/1.1 101"}
    crowd.send(HALF_HEAD, 60)
    assert ask(crowd, "/api/v1/instances") == 503
    assert [ask(crowd, path) for path in ("/healthz", "/readyz") * 5] == [200] * 10
    crowd.close()
    wait_until(lambda: ask(crowd, "/api/v1/instances") == 200, "a connection is free again")


@pytest.mark.parametrize("way", WAYS)
def test_an_address_has_a_limited_number_of_connections_of_any_kind(way: str, crowd_of: Callable[..., Crowd]) -> None:
    crowd = crowd_of(way, limits="on", max_address_connections=10)
    first = crowd.send(HALF_HEAD, 3) + crowd.send(HALF_BODY, 4)
    sockets = crowd.send(UPGRADE, 3)
    assert {one.recv(4096)[:12] for one in sockets} == {b"HTTP/1.1 101"}
    (refused,) = crowd.send(b"")
    assert refused.recv(1000).startswith(b"HTTP/1.1 429 ")
    first[0].close()

    def is_served() -> bool:
        with contextlib.suppress(OSError):
            (one,) = crowd.send(WHOLE)
            answer = one.recv(1000)
            one.close()
            return answer.startswith(b"HTTP/1.1 200 ")
        return False

    wait_until(is_served, "a closed connection no longer counts")
    # The last connection may count for a moment after its client has closed it.
    wait_until(lambda: has_stayed(*crowd.send(HALF_BODY)), "another connection is accepted")
    sockets[0].close()
    wait_until(is_served, "a closed websocket no longer counts")


def has_stayed(one: socket.socket) -> bool:
    return not has_ended(one)


@pytest.mark.parametrize("way", ["fast", "gevent", "threading"])
def test_connections_of_a_trusted_proxy_are_not_limited(way: str, crowd_of: Callable[..., Crowd]) -> None:
    settings = {"limits": "on", "max_address_connections": 5, "trusted_proxies": "127.0.0.1", "auth": "required"}
    crowd = crowd_of(way, **settings)
    crowd.send(HALF_HEAD, 20)
    assert ask(crowd, "/healthz") == 200


@pytest.mark.parametrize("way", WAYS)
def test_a_byte_now_and_then_keeps_no_connection(way: str, crowd_of: Callable[..., Crowd]) -> None:
    crowd = crowd_of(way, request_seconds=1)
    (later,) = crowd.send(b"GET /api/v1/instances HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert later.recv(100).startswith(b"HTTP/1.1 200 ")
    later.sendall(HALF_BODY)
    slow = [*crowd.send(HALF_HEAD), *crowd.send(HALF_BODY), later]
    for one in slow:
        wait_until(lambda one=one: has_ended(one, b"a"), "it is closed")  # type: ignore[misc]
    assert ask(crowd, "/healthz") == 200
    assert "Traceback" not in crowd._web.log_text()
