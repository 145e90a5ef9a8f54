"""Reads and sets the two cookies of the pages.

The session cookie holds a session's secret (`core/identity/sessions`). It counts on our own pages only: a request from
a page of another origin is anonymous even if the browser sends the cookie. The visit cookie identifies a browser
without a session while its login page is open.
"""

from __future__ import annotations

from datetime import datetime

from flask import Response, g, request

from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.identity.authenticate import ReadAlso
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.web.container import get_container
from swallowtail.app.web.http.cors import is_same_origin

_SESSION, _VISIT = "swallowtail_session", "swallowtail_visit"
#: Requests that a page sends by itself, which are no sign of activity of the user.
_AUTOMATIC = frozenset({"login.issue_token"})


def identify(read_also: ReadAlso) -> Actor | None:
    """Return the user of the session cookie in the current request; None without a valid one. See `Tokens.read`."""
    secret, origin = read_session(), request.headers.get("Origin")
    if secret is None or (origin and not is_same_origin(origin, request.environ)):
        return None
    try:
        is_use = request.endpoint not in _AUTOMATIC
        actor = get_container().tokens.read_session(secret, read_also=read_also, is_use=is_use)
    except Unauthenticated:
        return None
    g.by_cookie = True
    return actor


def read_session() -> str | None:
    """Return the session's secret from the current request."""
    return request.cookies.get(_name(_SESSION))


def read_visit() -> str | None:
    """Return the visit id of the current request's browser."""
    return request.cookies.get(_name(_VISIT))


def keep_session(response: Response, secret: str, until: datetime) -> None:
    """Set the session cookie."""
    # Lax: after a link from another site the user is signed in, and the request changes nothing.
    _set(response, _SESSION, secret, samesite="Lax", expires=until)
    response.delete_cookie(_name(_VISIT), secure=request.is_secure, httponly=True, samesite="Strict")


def drop_session(response: Response) -> None:
    """Delete the session cookie."""
    response.delete_cookie(_name(_SESSION), secure=request.is_secure, httponly=True, samesite="Lax")


def keep_visit(response: Response, visit: str) -> None:
    """Set the visit cookie."""
    _set(response, _VISIT, visit, samesite="Strict")


def _name(name: str) -> str:
    # Browsers accept this prefix only from this host itself, over TLS, for all paths.
    return f"__Host-{name}" if request.is_secure else name


def _set(response: Response, name: str, value: str, *, samesite: str, expires: datetime | None = None) -> None:
    response.set_cookie(
        _name(name), value, expires=expires, path="/", secure=request.is_secure, httponly=True, samesite=samesite
    )
