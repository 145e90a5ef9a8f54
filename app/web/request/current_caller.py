"""Finds the caller of each request once, from its bearer token or its session cookie.

`act()` returns the runtime that does everything on the caller's behalf.
"""

from __future__ import annotations

from dataclasses import replace

from flask import g, request

from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import ANONYMOUS, OPEN, Actor, Caller, Entrance
from swallowtail.app.web.container import get_container, get_runtime
from swallowtail.app.web.request import session_cookie


def get_caller() -> Caller:
    """Return the caller of the current request."""
    if "caller" not in g:
        g.caller = replace(get_anonymous_caller(), actor=get_runtime().db.retry_if_cut_off(identify))
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
        return get_container().tokens.read(token.strip())
    if get_runtime().settings.is_open:
        return OPEN
    return session_cookie.identify() or ANONYMOUS
