"""Who asks: found out once for each request, before `web/api` and the pages do anything. First gate of the road.

Everything that a request does, it does as its caller: `act()` is the domain on the caller's behalf.
"""

from __future__ import annotations

from dataclasses import replace

from flask import g, request

from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.permissions import NOBODY, OPEN, Actor, Caller, Entrance
from swallowtail.app.web.container import get_container, get_runtime
from swallowtail.app.web.request import session_cookie


def get_caller() -> Caller:
    """Return who makes the present request."""
    if "caller" not in g:
        g.caller = replace(get_anonymous_caller(), actor=get_runtime().db.patiently(identify))
    caller: Caller = g.caller
    return caller


def get_anonymous_caller() -> Caller:
    """Return where the present request comes from, before it is known who makes it."""
    entrance: Entrance = "rest" if request.path.startswith("/api/") else "ui"
    return Caller(NOBODY, entrance, request.remote_addr or "")


def act() -> Runtime:
    """Return the domain, acting for the caller of the present request."""
    return get_runtime().by(get_caller())


def identify() -> Actor:
    """Return who the request says it comes from. A token in its address is never looked at.

    Raises:
        Unauthenticated: it shows a token that is worth nothing, also where nobody has to show one.
        Unavailable: the database, or the identity provider, is away.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # Other schemes are for others, such as a proxy in front that asks for a password of its own.
    if scheme.lower() == "bearer":
        return get_container().tokens.read(token.strip())
    if get_runtime().settings.is_open:
        return OPEN
    return session_cookie.identify() or NOBODY
