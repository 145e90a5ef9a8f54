"""Applies the rate limits to every HTTP request and to new Socket.IO sessions on the WSGI path."""

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
#: Endpoints without limits: monitoring, and static files.
_FREE = ("static", "health.", "metrics.")
#: Kinds of objects by the name of the URL parameter; the first one in a URL is the object of the request.
_NAMES = {"artifact_id": "artifact", "task_id": "task", "schedule_id": "schedule", "instance_id": "instance"}
#: Errors that are written to the audit log, by the status of the response.
_DENIED: dict[int, type[SwallowtailError]] = {HTTPStatus.FORBIDDEN: Forbidden, HTTPStatus.NOT_FOUND: NotFound}


def register(app: Flask, limits: Limits) -> None:
    """Count every request before its view runs, and write denied requests to the audit log."""

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
            # The view decides whether it needs a caller.
            return
        limits.check_caller(caller.actor, address, is_read=is_read)

    @app.after_request
    def record(response: Response) -> Response:
        if (error := _DENIED.get(response.status_code)) is not None:
            _note_refusal(error())
        return response

    app.wsgi_app = limit_session_opens(app.wsgi_app, limits)  # type: ignore[method-assign]


def _note_refusal(refusal: SwallowtailError) -> None:
    arguments = request.view_args or {}
    name = next((name for name in _NAMES if name in arguments), "")
    with suppress(Unauthenticated, Unavailable):
        get_container().denied_requests.note(
            refusal, get_caller(), _describe(), _NAMES.get(name, ""), str(arguments.get(name, ""))
        )


def _describe() -> str:
    return f"{request.method} {request.url_rule.rule if request.url_rule else request.path}"


def limit_session_opens(serve: Any, limits: Limits) -> Any:
    """Limit new Socket.IO sessions on the WSGI path: polling, and websockets that the acceptor did not take."""

    def limited(environ: dict[str, Any], start_response: Any) -> Any:
        own = 1 if DIRECT in environ else 0
        if _opens(environ) and (wait := limits.try_connect(environ.get("REMOTE_ADDR", ""), own=own)):
            headers = [("Retry-After", str(max(1, math.ceil(wait)))), ("Content-Length", "0")]
            start_response("429 Too Many Requests", headers)
            return [b""]
        return serve(environ, start_response)

    return limited


def _opens(environ: dict[str, Any]) -> bool:
    # Parsed as python-engineio does, so that both agree on what is a new session.
    return environ.get("PATH_INFO", "").startswith("/socket.io") and "sid" not in parse_qs(
        environ.get("QUERY_STRING", "")
    )
