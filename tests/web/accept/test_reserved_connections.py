"""Health checks have reserved connections, and no other request gets one."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.web.websocket.handshake import MAX_HEAD
from tests.web.accept.acceptor_scene import HEAD, HEALTH, answer


def test_health_checks_have_reserved_connections(scene: Any) -> None:
    s = scene(max_connections=2)
    usual = [s.connect(HEAD) for _ in range(3)]
    health = [s.connect(HEALTH) for _ in range(3)]
    assert [is_health for _, _, is_health in s.dispatched] == [False, False, True, True]
    assert [answer(client) for client in (usual[2], health[2])] == [b"HTTP/1.1 503 Service Unavailable"] * 2
    for _, address, _ in s.dispatched:
        s.served.remove(address)
    s.connect(HEAD)
    assert len(s.dispatched) == 5


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
