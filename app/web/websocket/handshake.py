"""Parses the HTTP request that opens a websocket, and makes the 101 response.

It accepts only the unambiguous case: the first request of a Socket.IO client that wants a websocket at once. Every
other request (polling, an upgrade from polling, a missing or doubtful header, another version) goes to the WSGI
server unread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

#: Start of such a request; the first bytes exclude most other requests.
REQUEST_START = b"GET /socket.io/?"
HEAD_END = b"\r\n\r\n"
#: Longest request head that is parsed here; the WSGI server gets longer ones.
MAX_HEAD = 16_384
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Headers of the transport, which the application does not need.
_HOP_HEADERS = frozenset(
    {"UPGRADE", "CONNECTION", "SEC_WEBSOCKET_KEY", "SEC_WEBSOCKET_VERSION", "SEC_WEBSOCKET_EXTENSIONS", "PRAGMA"}
    | {"CACHE_CONTROL", "ACCEPT_ENCODING"}
)


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """A request for a websocket: its WSGI environment, the key of its handshake, and its size in bytes."""

    environ: dict[str, Any]
    key: bytes
    size: int


def read_upgrade(head: bytes, address: tuple[str, int], prefix: str = "") -> UpgradeRequest | None:
    """Return the request at the start of `head`; None when the WSGI server has to answer it.

    `prefix` is the URL prefix of the application, which the path may or may not include.
    """
    if prefix and head.startswith(prefixed := f"GET {prefix}/".encode()):
        inner = read_upgrade(b"GET /" + head[len(prefixed) :], address)
        return inner and UpgradeRequest(inner.environ, inner.key, inner.size + len(prefix))
    size = head.find(HEAD_END)
    if size < 0 or not head.startswith(REQUEST_START):
        return None
    request, *lines = head[:size].decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    target, _, version = rest.partition(" ")
    headers = _read_headers(lines)
    if headers is None or version != "HTTP/1.1" or method != "GET":
        return None
    path, _, query = target.partition("?")
    key = headers.get("SEC_WEBSOCKET_KEY", "").encode("latin-1")
    if not _is_new_websocket(query) or not _asks_for_websocket(headers) or not is_key(key):
        return None
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": unquote(path, encoding="latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": address[0],
        "wsgi.url_scheme": "http",
    }
    environ.update(("HTTP_" + name, value) for name, value in headers.items() if name not in _HOP_HEADERS)
    return UpgradeRequest(environ, key, size + len(HEAD_END))


def _read_headers(lines: list[str]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        # A folded line, a name with a blank, or with `_`, which looks like `-` in an environment: ambiguous.
        if not colon or not name or name != name.strip() or "_" in name:
            return None
        key = name.replace("-", "_").upper()
        if key in headers:
            return None
        headers[key] = value.strip(" \t")
    return headers


@lru_cache(maxsize=64)
def _is_new_websocket(query: str) -> bool:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    unambiguous = len(pairs) == len(options) and "sid" not in options and "j" not in options
    return unambiguous and options.get("EIO") == "4" and options.get("transport") == "websocket"


def _asks_for_websocket(headers: dict[str, str]) -> bool:
    connection = [word.strip() for word in headers.get("CONNECTION", "").lower().split(",")]
    return (
        headers.get("UPGRADE", "").lower() == "websocket"
        and "upgrade" in connection
        and headers.get("SEC_WEBSOCKET_VERSION") == "13"
        and "HOST" in headers
        and "CONTENT_LENGTH" not in headers
        and "TRANSFER_ENCODING" not in headers
    )


def accept_key(key: bytes) -> bytes:
    """Return the response head that accepts a websocket with this key."""
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + HEAD_END
    )


def is_key(key: bytes) -> bool:
    """Return whether this is a valid `Sec-WebSocket-Key`."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
