"""The acceptor takes a request for a websocket upgrade only when it is unambiguous."""

from __future__ import annotations

import pytest

from swallowtail.app.web.websocket.handshake import accept_key, read_upgrade

ADDRESS = ("192.0.2.7", 4711)
LINES = [
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
    "Host: example.net",
    "Upgrade: WebSocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Origin: https://example.net",
    "Cookie: a=b",
]


def request(*changes: tuple[str, str]) -> bytes:
    text = "\r\n".join(LINES)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.encode() + b"\r\n\r\n"


def test_the_response_is_the_one_of_the_specification() -> None:
    """RFC 6455, section 1.3, has this key and this response."""
    upgrade = read_upgrade(request() + b"more", ADDRESS)
    assert upgrade is not None
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" in accept_key(upgrade.key)
    assert upgrade.size == len(request())


def test_the_application_gets_the_headers_except_those_of_the_transport() -> None:
    upgrade = read_upgrade(request(), ADDRESS)
    assert upgrade is not None
    assert upgrade.environ == {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/socket.io/",
        "QUERY_STRING": "EIO=4&transport=websocket",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "example.net",
        "HTTP_ORIGIN": "https://example.net",
        "HTTP_COOKIE": "a=b",
    }


@pytest.mark.parametrize(
    "change",
    [
        ("GET /socket.io/", "GET /api/v1/"),
        ("GET /socket.io/", "POST /socket.io/"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("EIO=4", "EIO=3"),
        ("transport=websocket", "transport=polling"),
        ("transport=websocket", "transport=websocket&sid=abc"),
        ("transport=websocket", "transport=websocket&transport=polling"),
        ("Upgrade: WebSocket", "Upgrade: h2c"),
        ("keep-alive, Upgrade", "keep-alive"),
        ("Version: 13", "Version: 8"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "!"),
        ("Host: example.net\r\n", ""),
        ("Cookie: a=b", "Cookie: a=b\r\nCookie: c=d"),
        ("Cookie: a=b", "Cookie_: a=b"),
        ("Cookie: a=b", "Content-Length: 3"),
        ("Cookie: a=b", "Transfer-Encoding: chunked"),
        ("Cookie: a=b", "Cookie: a\r\n folded"),
        ("Cookie: a=b", "no colon"),
    ],
)
def test_an_ambiguous_request_is_left_to_the_wsgi_server(change: tuple[str, str]) -> None:
    assert read_upgrade(request(change), ADDRESS) is None


def test_an_incomplete_request_is_left_to_it_too() -> None:
    assert read_upgrade(request()[:-1], ADDRESS) is None
    assert read_upgrade(b"", ADDRESS) is None
