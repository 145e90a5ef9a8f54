"""Builds the responses of long polling: errors with the codes of the reference server, and compressed packets."""

from __future__ import annotations

import json
import zlib
from typing import Any

UNKNOWN_TRANSPORT = (0, "Transport unknown")
UNKNOWN_SESSION = (1, "Session ID unknown")
BAD_METHOD = (2, "Bad handshake method")
BAD_REQUEST = (3, "Bad request")
UNSUPPORTED_VERSION = (5, "Unsupported protocol version")

#: Sizes of responses that are compressed, in bytes: the lower bound is that of the reference server; compressing more
#: than the upper one would block the loop that serves all clients.
_SIZES = range(1024, 262_144)
#: The `wbits` argument of zlib by content encoding.
_ENCODINGS = {"gzip": 31, "deflate": 15}


def refuse_opening(environ: dict[str, Any], transport: str, version: list[str] | None) -> dict[str, Any] | None:
    """Return the error of a request without a session; None when it may open one."""
    if environ["REQUEST_METHOD"] != "GET":
        return refuse(*BAD_METHOD)
    if transport == "websocket" and not asks_for_websocket(environ):
        return refuse(*BAD_REQUEST)
    return None if version == ["4"] else refuse(*UNSUPPORTED_VERSION)


def asks_for_websocket(environ: dict[str, Any]) -> bool:
    """Return whether a request asks for a websocket; without both headers python-engineio treats it as a poll."""
    options = [option.strip() for option in environ.get("HTTP_CONNECTION", "").lower().split(",")]
    return "upgrade" in options and environ.get("HTTP_UPGRADE", "").lower() == "websocket"


def refuse(code: int, message: str) -> dict[str, Any]:
    """Return an error response."""
    body = json.dumps({"code": code, "message": message}).encode()
    return {"status": "400 BAD REQUEST", "headers": [("Content-Type", "application/json")], "response": body}


def compress(response: dict[str, Any], accepted: str) -> None:
    """Compress a response (`headers`, `response`) if it is long; `accepted` is the client's Accept-Encoding."""
    offered = (word.partition(";")[0].strip() for word in accepted.split(","))
    encoding = next((word for word in offered if word in _ENCODINGS), None)
    if encoding is None or len(response["response"]) not in _SIZES:
        return
    # The fastest level, since all other clients wait.
    writer = zlib.compressobj(level=1, wbits=_ENCODINGS[encoding])
    response["response"] = writer.compress(response["response"]) + writer.flush()
    response["headers"] = [*response["headers"], ("Content-Encoding", encoding), ("Vary", "Accept-Encoding")]
