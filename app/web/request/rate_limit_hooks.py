"""Counts every request before anything is done for it, and the connections that the gate does not see. Before the road.

What the counts mean is in `web/limits/limits`.
"""

from __future__ import annotations

import math
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from flask import Flask, Response, request

from swallowtail.app.core.errors import Forbidden, NotFound, SwallowtailError, Unauthenticated, Unavailable
from swallowtail.app.web.container import get_container
from swallowtail.app.web.http.trusted_proxies import DIRECT
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.request.current_caller import get_anonymous_caller, get_caller

_READS = ("GET", "HEAD", "OPTIONS")
#: What is asked for by machines that watch over this one, or costs next to nothing.
_FREE = ("static", "health.", "metrics.")
#: What is asked for, by its name in an address; the first that an address has is what it is about.
_NAMES = {"artifact_id": "artifact", "task_id": "task", "schedule_id": "schedule", "instance_id": "instance"}
#: Why somebody was refused, by the status of the answer.
_WHY: dict[int, type[SwallowtailError]] = {HTTPStatus.FORBIDDEN: Forbidden, HTTPStatus.NOT_FOUND: NotFound}


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
        except Unauthenticated as refusal:
            get_container().denied_requests.note(refusal, get_anonymous_caller(), _describe(), "", "")
            # Whether it matters who asks is for the view to say.
            return
        limits.check_caller(caller.actor, address, is_read=is_read)

    @app.after_request
    def note(response: Response) -> Response:
        if (why := _WHY.get(response.status_code)) is not None:
            _note_refusal(why())
        return response

    app.wsgi_app = limit_session_opens(app.wsgi_app, limits)  # type: ignore[method-assign]


def _note_refusal(refusal: SwallowtailError) -> None:
    """Have it in the audit log who was refused what, in the instance that it was about."""
    given = request.view_args or {}
    name = next((name for name in _NAMES if name in given), "")
    with suppress(Unauthenticated, Unavailable):
        get_container().denied_requests.note(
            refusal, get_caller(), _describe(), _NAMES.get(name, ""), str(given.get(name, ""))
        )


def _describe() -> str:
    return f"{request.method} {request.url_rule.rule if request.url_rule else request.path}"


def limit_session_opens(serve: Any, limits: Limits) -> Any:
    """Count what opens a connection on the stock path: long polling, and websockets that the gate did not take."""

    def limited(environ: dict[str, Any], start_response: Any) -> Any:
        own = 1 if DIRECT in environ else 0
        if _opens(environ) and (wait := limits.try_connect(environ.get("REMOTE_ADDR", ""), own=own)):
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
