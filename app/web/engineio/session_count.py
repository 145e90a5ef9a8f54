"""Counts the Socket.IO sessions of each address that have no accepted socket of their own."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from swallowtail.app.web.http.trusted_proxies import DIRECT
from swallowtail.app.web.limits.limits import Limits


def count_sessions(server: Any, limits: Limits) -> None:
    """Hook into a Socket.IO server (python-socketio's).

    A direct websocket counts by its accepted socket. Polling sessions, and sessions behind a proxy, count here.
    """
    engine = server.eio
    connect, disconnect = engine.handlers["connect"], engine.handlers["disconnect"]
    addresses: dict[str, str] = {}
    direct: set[str] = set()

    def opened(eio_sid: str, environ: dict[str, Any]) -> Any:
        refusal = connect(eio_sid, environ)
        if (refusal is None or refusal is True) and not (DIRECT in environ and _is_websocket(environ)):
            addresses[eio_sid] = address = environ.get("REMOTE_ADDR", "")
            limits.add_session(address)
            if DIRECT in environ:
                direct.add(eio_sid)
        return refusal

    def closed(eio_sid: str, *reason: Any) -> Any:
        forget(eio_sid)
        return disconnect(eio_sid, *reason)

    def upgraded(eio_sid: str) -> None:
        if eio_sid in direct:
            forget(eio_sid)

    def forget(eio_sid: str) -> None:
        direct.discard(eio_sid)
        address = addresses.pop(eio_sid, None)
        if address is not None:
            limits.remove_session(address)

    engine.on("connect", opened)
    engine.on("disconnect", closed)
    engine.handlers["upgrade"] = upgraded


def _is_websocket(environ: dict[str, Any]) -> bool:
    # The library uses the first value, if there are several.
    return parse_qs(environ.get("QUERY_STRING", "")).get("transport", [])[:1] == ["websocket"]
