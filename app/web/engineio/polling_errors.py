"""Refusals of requests that poll, numbered as the reference server does. Beside the road, under `web/engineio/polling`."""

from __future__ import annotations

import json
from typing import Any

#: Refusals, numbered as the reference server numbers them.
NO_TRANSPORT = (0, "Transport unknown")
NO_SESSION = (1, "Session ID unknown")
NO_METHOD = (2, "Bad handshake method")
NO_REQUEST = (3, "Bad request")
NO_VERSION = (5, "Unsupported protocol version")


def refuse_opening(environ: dict[str, Any], transport: str, version: list[str] | None) -> dict[str, Any] | None:
    """Return why a request opens no session; None when it does."""
    if environ["REQUEST_METHOD"] != "GET":
        return refuse(*NO_METHOD)
    if transport == "websocket" and not wants_socket(environ):
        return refuse(*NO_REQUEST)
    return None if version == ["4"] else refuse(*NO_VERSION)


def wants_socket(environ: dict[str, Any]) -> bool:
    """Tell whether a request asks for a websocket; without both headers the library takes it for a poll."""
    options = [option.strip() for option in environ.get("HTTP_CONNECTION", "").lower().split(",")]
    return "upgrade" in options and environ.get("HTTP_UPGRADE", "").lower() == "websocket"


def refuse(code: int, message: str) -> dict[str, Any]:
    """Return a refusal."""
    body = json.dumps({"code": code, "message": message}).encode()
    return {"status": "400 BAD REQUEST", "headers": [("Content-Type", "application/json")], "response": body}
