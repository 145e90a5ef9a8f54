"""Finds the caller of each request once, from its bearer token or its session cookie.

`act()` returns the runtime that does everything on the caller's behalf.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import g, request

from swallowtail.app.core.errors import SwallowtailError, Unauthenticated
from swallowtail.app.core.identity.authenticate import ReadAlso
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import ANONYMOUS, OPEN, Actor, Caller, Entrance
from swallowtail.app.web.container import get_container, get_runtime
from swallowtail.app.web.request import session_cookie
from swallowtail.app.web.request.json_body import peek_json

#: Reads what a view needs for a JSON body, with a session and the runtime of the caller.
ReadForView = Callable[[Any, Runtime, dict[str, Any]], Any]
_reads: dict[str, ReadForView] = {}


def read_with_caller(endpoint: str) -> Callable[[ReadForView], ReadForView]:
    """Call the decorated function in the transaction that authenticates the caller; its view calls `get_read`."""

    def register(read: ReadForView) -> ReadForView:
        _reads[endpoint] = read
        return read

    return register


def get_read() -> Any:
    """Return what was read for the view of the current request, or raise the error; None if nothing was read."""
    if "read_error" in g:
        raise g.read_error
    return g.get("read")


def get_caller() -> Caller:
    """Return the caller of the current request. Raises Unauthenticated, Unavailable."""
    if "refusal" in g:
        raise g.refusal
    if "caller" not in g:
        try:
            g.caller = replace(get_anonymous_caller(), actor=get_runtime().db.retry_if_cut_off(identify))
        except Unauthenticated as refusal:
            g.refusal = refusal
            raise
    caller: Caller = g.caller
    return caller


def get_anonymous_caller() -> Caller:
    """Return the caller of the current request before authentication: its address and entrance only."""
    entrance: Entrance = "rest" if request.path.startswith("/api/") else "ui"
    return Caller(ANONYMOUS, entrance, request.remote_addr or "")


def act() -> Runtime:
    """Return the runtime, acting for the caller of the current request."""
    return get_runtime().by(get_caller())


def identify() -> Actor:
    """Return the actor of the current request; a token in the URL is ignored. Raises Unauthenticated, Unavailable."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # Other schemes are not ours, such as the password of a proxy in front.
    if scheme.lower() == "bearer":
        return get_container().tokens.read(token.strip(), read_also=_find_read())
    if get_runtime().settings.is_open:
        return OPEN
    if session_cookie.read_session() is None:
        return ANONYMOUS
    return session_cookie.identify(_find_read()) or ANONYMOUS


def _find_read() -> ReadAlso:
    """Return what to read with the caller for the view of the current request."""
    read = _reads.get(request.endpoint or "")
    # Before the transaction: a body may arrive slowly.
    body = None if read is None else peek_json()
    if read is None or body is None:
        return lambda session, actor: None

    def read_for_view(session: Any, actor: Actor) -> None:
        try:
            g.read = read(session, get_runtime().by(replace(get_anonymous_caller(), actor=actor)), body)
        except SwallowtailError as error:
            # The view raises it, after all other checks of the request.
            g.read_error = error

    return read_for_view
