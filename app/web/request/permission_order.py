"""Answers a caller without permission before any error of the request: 401, then 404, then 403, then 400 or 422."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Flask, g, request
from werkzeug.exceptions import HTTPException

from swallowtail.app.core.errors import InvalidInput, TooLarge
from swallowtail.app.core.security.permissions import require, require_authenticated, require_outside, require_task
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.web.container import get_runtime
from swallowtail.app.web.request.current_caller import get_caller
from swallowtail.app.web.request.json_body import InvalidJson

View = TypeVar("View", bound=Callable[..., Any])

#: Endpoints of the REST API for anonymous callers.
_PUBLIC = frozenset({"auth.login", "auth.refresh"})


def register(app: Flask) -> None:
    """Refuse anonymous callers of the REST API before its views run."""

    @app.before_request
    def require_caller() -> None:
        # Browsers send OPTIONS without credentials.
        is_public = request.endpoint is None or request.endpoint in _PUBLIC or request.method == "OPTIONS"
        if request.path.startswith("/api/v1/") and not is_public:
            require_authenticated(get_caller().actor)


def permission_first(act: Act) -> Callable[[View], View]:
    """Make a view answer callers without permission for `act` with that refusal, before an error of the request."""

    def decorate(view: View) -> View:
        @wraps(view)
        def answer(*args: Any, **kwargs: Any) -> Any:
            try:
                return view(*args, **kwargs)
            except (InvalidInput, InvalidJson, TooLarge, HTTPException):
                _check(act)
                raise

        return cast("View", answer)

    return decorate


def leave_to_service() -> None:
    """Open no transaction for a check if the rest of the view fails: its service checks the permission first."""
    g.is_left_to_service = True


def _check(act: Act) -> None:
    actor, arguments = get_caller().actor, request.view_args or {}
    if actor.is_trusted or "is_left_to_service" in g:
        return
    with get_runtime().db.read() as session:
        if "task_id" in arguments:
            require_task(session, actor, act, check_task_id(arguments["task_id"]))
        elif "instance_id" in arguments:
            require(session, actor, act, check_instance_id(arguments["instance_id"]))
        else:
            require_outside(actor, act)
