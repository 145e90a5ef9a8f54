"""Counts every request before anything is done for it, and the connections that the gate does not see. Before the road.

What the counts mean is in `web/limits`.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import parse_qs

from flask import Flask, request

from app.core.errors import Unauthenticated
from app.web.callers import get_caller
from app.web.limits import Limits

_READS = ("GET", "HEAD", "OPTIONS")
#: What is asked for by machines that watch over this one, or costs next to nothing.
_FREE = ("static", "health.", "metrics.")


def register(app: Flask, limits: Limits) -> None:
    """Have every request counted before anything is done for it."""

    @app.before_request
    def count() -> None:
        endpoint = request.endpoint or ""
        if endpoint.startswith(_FREE):
            return
        address, is_read = request.remote_addr or "", request.method in _READS
        limits.check_request(address, is_read=is_read)
        try:
            caller = get_caller()
        except Unauthenticated:
            # Whether it matters who asks is for the view to say.
            return
        limits.check_caller(caller.actor, address, is_read=is_read)

    app.wsgi_app = limit_polling(app.wsgi_app, limits)  # type: ignore[method-assign]


def limit_polling(serve: Any, limits: Limits) -> Any:
    """Count what opens a connection on the stock path: long polling, and websockets that the gate did not take."""

    def limited(environ: dict[str, Any], start_response: Any) -> Any:
        if _opens(environ) and (wait := limits.try_connect(environ.get("REMOTE_ADDR", ""))):
            headers = [("Retry-After", str(max(1, math.ceil(wait)))), ("Content-Length", "0")]
            start_response("429 Too Many Requests", headers)
            return [b""]
        return serve(environ, start_response)

    return limited


def _opens(environ: dict[str, Any]) -> bool:
    # Read as python-engineio reads it, so that nothing looks like an old connection here and like a new one there.
    return environ.get("PATH_INFO", "").startswith("/socket.io") and "sid" not in parse_qs(
        environ.get("QUERY_STRING", "")
    )
