"""Reading the request that asks for a websocket, without the rest of HTTP. Before the road's last stop.

Only a request that is beyond doubt is taken here: the first one of a Socket.IO client that wants a websocket at once.
Anything else (polling, an upgrade from polling, a missing header, a doubtful origin, another version) goes to the WSGI
server untouched, which answers it as it always did.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

#: How such a request begins; one look at the first bytes tells most others apart.
BEGINNING = b"GET /socket.io/?"
END = b"\r\n\r\n"
#: Longest request that is taken; a longer one is for the WSGI server.
LONGEST = 16_384
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: Headers that say how the bytes travel; nobody needs them once the connection stands.
_SPENT = frozenset(
    {"UPGRADE", "CONNECTION", "SEC_WEBSOCKET_KEY", "SEC_WEBSOCKET_VERSION", "SEC_WEBSOCKET_EXTENSIONS", "PRAGMA"}
    | {"CACHE_CONTROL", "ACCEPT_ENCODING"}
)


class UpgradeRequest:
    """A request for a websocket: the key of its handshake, and what the application may want to know of it."""

    __slots__ = ("environ", "key", "size")

    def __init__(self, environ: dict[str, Any], key: bytes, size: int) -> None:
        self.environ = environ
        self.key = key
        #: Bytes of the request.
        self.size = size

    def answer(self) -> bytes:
        """Return the head that accepts the websocket."""
        return answer_key(self.key)


def read_upgrade(head: bytes, address: tuple[str, int], prefix: str = "") -> UpgradeRequest | None:
    """Return the request at the beginning of `head`, or None when it is not one to be taken here.

    `prefix` is the path under which we are reached, which may come along.
    """
    if prefix and head.startswith(reached := f"GET {prefix}/".encode()):
        inner = read_upgrade(b"GET /" + head[len(reached) :], address)
        return inner and UpgradeRequest(inner.environ, inner.key, inner.size + len(prefix))
    size = head.find(END)
    if size < 0 or not head.startswith(BEGINNING):
        return None
    request, *lines = head[:size].decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    target, _, version = rest.partition(" ")
    headers = _read_headers(lines)
    if headers is None or version != "HTTP/1.1" or method != "GET":
        return None
    path, _, query = target.partition("?")
    key = headers.get("SEC_WEBSOCKET_KEY", "").encode("latin-1")
    if not _is_wanted(query) or not _asks_for_websocket(headers) or not is_key(key):
        return None
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": unquote(path, encoding="latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": address[0],
        "wsgi.url_scheme": "http",
    }
    environ.update(("HTTP_" + name, value) for name, value in headers.items() if name not in _SPENT)
    return UpgradeRequest(environ, key, size + len(END))


def _read_headers(lines: list[str]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        # A folded line, a name with a blank, or one that another name could be mistaken for: not beyond doubt.
        if not colon or not name or name != name.strip() or "_" in name:
            return None
        key = name.replace("-", "_").upper()
        if key in headers:
            return None
        headers[key] = value.strip(" \t")
    return headers


@lru_cache(maxsize=64)
def _is_wanted(query: str) -> bool:
    asked = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in asked]
    given = dict(asked)
    plain = len(names) == len(given) and "sid" not in given and "j" not in given
    return plain and given.get("EIO") == "4" and given.get("transport") == "websocket"


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


def answer_key(key: bytes) -> bytes:
    """Return the head that accepts a websocket with this key."""
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + END
    )


def is_key(key: bytes) -> bool:
    """Tell whether a websocket may be asked for with this key."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
