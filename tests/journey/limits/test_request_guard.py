"""A web process checks hosts, origins, proxies and sizes, in every server mode and on every transport."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
import websocket

from tests.harness.deployment import Deployment
from tests.harness.processes import WebProcess
from tests.harness.program import memory_of
from tests.harness.servers import RedisBinary

#: How the web process serves websockets: by its own engine, by the library, and under the other servers.
MODES: dict[str, dict[str, object]] = {
    "fast": {},
    "stock": {"engine": "stock"},
    "threading": {"async_mode": "threading"},
    "gevent": {"async_mode": "gevent"},
}
GUARD = {
    "auth": "required",
    "allowed_hosts": "app.example.org",
    "trusted_proxies": "127.0.0.1",
    "cors_origins": "https://pages.example",
}
BODY = {"max_body_bytes": 20_000}


@pytest.fixture(scope="module", params=MODES)
def web(request: pytest.FixtureRequest, redis_binary: RedisBinary) -> Iterator[WebProcess]:
    """One web process with one more host name, behind a proxy on this machine."""
    with Deployment(redis_binary=redis_binary, env={**GUARD, **BODY, **MODES[request.param]}) as deployment:
        yield deployment.start_web()


@pytest.fixture(scope="module", params=MODES)
def open_web(request: pytest.FixtureRequest, redis_binary: RedisBinary) -> Iterator[WebProcess]:
    """One open web process."""
    with Deployment(redis_binary=redis_binary, env=MODES[request.param]) as deployment:
        yield deployment.start_web()


def connect(web: WebProcess, *, origin: str | None = None, host: str | None = None, **headers: str) -> str:
    """Open a websocket; return its first message."""
    options: dict[str, Any] = {"host": host} if host else {}
    options |= {"origin": origin} if origin else {"suppress_origin": True}
    line = websocket.create_connection(
        f"ws://127.0.0.1:{web.port}/socket.io/?EIO=4&transport=websocket",
        timeout=60,
        header={name.replace("_", "-"): value for name, value in headers.items()},
        **options,
    )
    try:
        return str(line.recv())
    finally:
        # `close` would leave a connection that the server has closed to the garbage collector.
        line.shutdown()  # type: ignore[no-untyped-call]


def exchange(web: WebProcess, request: bytes) -> bytes:
    """Return everything that the server sends until it closes the connection."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as line:
        line.sendall(request)
        answer = b""
        while part := line.recv(65536):
            answer += part
    return answer


SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: app.example.org\r\nConnection: close\r\n\r\n"
AMBIGUOUS = {
    "no colon": b"nonsense\r\nContent-Length: %d",
    "a blank before the colon": b"Content-Length : %d",
    "a carriage return within": b"X-A: 1\rContent-Length: %d",
    "folded": b"X-A: 1\r\n Content-Length: %d",
    "twice": b"Content-Length: 0\r\nContent-Length: %d",
    "an underscore": b"Content-Length: 0_%d",
    "an unknown coding": b"Transfer-Encoding: gzip\r\nX-A: %d",
}


@pytest.mark.parametrize("header", list(AMBIGUOUS.values()), ids=list(AMBIGUOUS))
def test_the_body_below_a_malformed_header_is_never_a_request_of_its_own(web: WebProcess, header: bytes) -> None:
    head = b"POST /api/v1/instances HTTP/1.1\r\nHost: app.example.org\r\n" + header % len(SMUGGLED) + b"\r\n\r\n"
    answer = exchange(web, head + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.") == 1


@pytest.mark.parametrize("size", [b"0x2", b"+2", b"0_2", b" 2", b"2;" + b"a" * 9000, b"2"], ids=str)
def test_bytes_after_a_chunked_body_are_never_a_request(web: WebProcess, size: bytes) -> None:
    head = b"POST /api/v1/nothing HTTP/1.1\r\nHost: app.example.org\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = exchange(web, head + size + b"\r\n{}\r\n0\r\n\r\n" + SMUGGLED)
    assert (answer.startswith(b"HTTP/1.1 4"), answer.count(b"HTTP/1.")) == (True, 1)


@pytest.mark.parametrize(
    "line",
    [b"GET\x0b/healthz HTTP/1.1", b"GET /healthz\xa0HTTP/1.1", b" GET /healthz HTTP/1.1", b"GET /healthz"],
    ids=str,
)
def test_an_ambiguous_request_line_is_refused(web: WebProcess, line: bytes) -> None:
    assert exchange(web, line + b"\r\nHost: app.example.org\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_poll_is_never_answered_with_a_script(web: WebProcess) -> None:
    for query in ("&j=0", "&j=", "&%6A=1"):
        answer = httpx2.get(f"{web.url}/socket.io/?EIO=4&transport=polling{query}", headers={"Host": "app.example.org"})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_failed_sign_ins_leave_no_memory_behind(web: WebProcess) -> None:
    """Work for many anonymous callers takes memory by its limit, not by the number of callers."""
    before = memory_of(web.pid)
    bodies = [{"name": f"unknown{number}", "password": "correct horse battery"} for number in range(18)]
    with ThreadPoolExecutor(9) as pool:
        answers = pool.map(lambda body: httpx2.post(f"{web.url}/api/v1/auth/login", json=body, timeout=60), bodies)
        assert {answer.status_code for answer in answers} == {401}
    # A hash takes 19 MiB, and two are computed at a time.
    assert memory_of(web.pid) - before < 100 * 1024


def refused(web: WebProcess, status: int, **options: Any) -> bool:
    """Return whether a websocket is refused with a status."""
    try:
        connect(web, **options)
    except websocket.WebSocketBadStatusException as error:
        return int(error.status_code) == status
    return False


def test_our_own_pages_listed_ones_and_programs_get_a_websocket(web: WebProcess) -> None:
    own = f"http://127.0.0.1:{web.port}"
    for origin in (None, own, "https://pages.example"):
        assert connect(web, origin=origin).startswith("0{"), origin
    assert connect(web, host="app.example.org", origin="http://app.example.org").startswith("0{")


def test_other_pages_get_no_websocket(web: WebProcess) -> None:
    for origin in ("https://evil.example", "null", f"https://127.0.0.1:{web.port}", "http://127.0.0.1:1"):
        assert refused(web, 403, origin=origin), origin
    # A host name that points here has its own origin; only the Host header reveals it.
    assert refused(web, 421, host="evil.example", origin="http://evil.example")
    assert refused(web, 421, host="evil.example")


def test_behind_tls_our_own_origin_is_https(web: WebProcess) -> None:
    safe = {"X_Forwarded_Proto": "https"}
    assert connect(web, host="app.example.org", origin="https://app.example.org", **safe).startswith("0{")
    assert refused(web, 403, host="app.example.org", origin="http://app.example.org", **safe)
    assert refused(web, 403, origin="https://evil.example", X_Forwarded_Host="evil.example", **safe)


def test_long_polling_has_the_same_rule(web: WebProcess) -> None:
    address = f"{web.url}/socket.io/?EIO=4&transport=polling"
    own = f"http://127.0.0.1:{web.port}"
    for headers, status in (
        ({}, 200),
        ({"Origin": own}, 200),
        ({"Origin": "https://pages.example"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example"}, 421),
    ):
        answer = httpx2.get(address, headers=headers, timeout=60)
        assert answer.status_code == status, headers
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_that_is_too_large_is_refused_with_any_media_type(web: WebProcess) -> None:
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        headers = {"Content-Type": kind} if kind else {}
        answer = httpx2.post(f"{web.url}/api/v1/auth/login", content=b"x" * 30_000, headers=headers, timeout=60)
        assert answer.status_code == 413, kind


def test_headers_that_are_too_large_are_refused_and_others_served(web: WebProcess) -> None:
    for start in ("GET / HTTP/1.1", "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1"):
        with socket.create_connection(("127.0.0.1", web.port), timeout=60) as line:
            line.sendall(f"{start}\r\nHost: 127.0.0.1\r\nX-Long: {'a' * 100_000}\r\n\r\n".encode())
            status = line.makefile("rb").readline().split()[1]
        assert status[:1] == b"4", status
    assert web.status("/healthz") == 200


@pytest.mark.long
def test_a_request_through_a_proxy_to_an_open_server_gets_the_remedy(open_web: WebProcess) -> None:
    assert connect(open_web).startswith("0{")
    for name in ("X_Forwarded_For", "X_Forwarded_Proto", "Forwarded", "Via", "X_Real_Ip"):
        assert refused(open_web, 421, **{name: "127.0.0.1"}), name
        for path in ("/", "/readyz", "/api/v1/instances", "/socket.io/?EIO=4&transport=polling"):
            answer = httpx2.get(open_web.url + path, headers={name.replace("_", "-"): "127.0.0.1"}, timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (421, "not_from_here"), (name, path)
            assert "SWALLOWTAIL_TRUSTED_PROXIES" in answer.json()["detail"]
    assert connect(open_web).startswith("0{")


@pytest.mark.long
def test_only_pages_of_this_machine_get_a_websocket_of_an_open_server(open_web: WebProcess) -> None:
    address = f"{open_web.url}/socket.io/?EIO=4&transport=polling"
    for origin in ("http://localhost:5173", "http://127.0.0.1:1", "https://[::1]:3000"):
        assert connect(open_web, origin=origin).startswith("0{"), origin
        answer = httpx2.get(address, headers={"Origin": origin}, timeout=60)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
    for origin in ("null", "https://evil.example", "http://localhost.evil.example", "http://[::1].evil.example"):
        assert refused(open_web, 403, origin=origin), origin
    assert refused(open_web, 421, host="evil.example", origin="http://localhost:5173")
