"""Counts every request before anything is done for it, and the connections that the gate does not see. Before the road.

What the counts mean is in `web/limits`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from flask import Flask, Response, request
from sqlalchemy import Select, select
from sqlalchemy.exc import SQLAlchemyError

from app.core.audit import SYSTEM_SCOPE
from app.core.errors import Unauthenticated, Unavailable
from app.core.events import clean
from app.core.models import Instance, Schedule, Task
from app.web.callers import get_caller
from app.web.limits import Limits
from app.web.parts import get_web

_READS = ("GET", "HEAD", "OPTIONS")
#: What is asked for by machines that watch over this one, or costs next to nothing.
_FREE = ("static", "health.", "metrics.")

#: The instance that something in an address belongs to, where there is such a thing.
_SCOPES: dict[str, Callable[[str], Select[str]]] = {
    "task_id": lambda value: select(Task.instance_id).where(Task.id == clean(value)),
    "schedule_id": lambda value: select(Schedule.instance_id).where(Schedule.id == clean(value)),
    "instance_id": lambda value: select(Instance.id).where(Instance.id == clean(value)),
}


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

    @app.after_request
    def note(response: Response) -> Response:
        if response.status_code == HTTPStatus.FORBIDDEN:
            _note_denial()
        return response

    app.wsgi_app = limit_polling(app.wsgi_app, limits)  # type: ignore[method-assign]


def _note_denial() -> None:
    """Have it in the audit log who was refused what, in the instance that it was about."""
    web, given = get_web(), request.view_args or {}
    name = next((name for name in _SCOPES if name in given), "")
    value = str(given.get(name, ""))
    with suppress(Unauthenticated, Unavailable, SQLAlchemyError):
        caller, scope = get_caller(), None
        if name:
            with web.rt.db.read() as session:
                scope = session.scalar(_SCOPES[name](value))
        act = f"{request.method} {request.url_rule.rule if request.url_rule else request.path}"
        web.denials.note(caller, scope or SYSTEM_SCOPE, act, name.removesuffix("_id"), value)


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
