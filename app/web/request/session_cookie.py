"""The cookies that keep somebody signed in to the pages. Before the road.

One holds a session's secret (`core/identity/sessions`) and nothing else. It counts on our own pages only: a request that a page
of another origin makes is by nobody, whatever its browser sends along. The other one stands for a browser in which
nobody is signed in yet, while the page to sign in is open.
"""

from __future__ import annotations

from datetime import datetime

from flask import Response, g, request

from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.security.permissions import Actor
from swallowtail.app.web.container import get_container
from swallowtail.app.web.http.cors import is_own

_SESSION, _VISIT = "swallowtail_session", "swallowtail_visit"
#: What a page asks by itself, so that it says nothing about somebody being there.
_BY_ITSELF = frozenset({"login.issue_token"})


def identify() -> Actor | None:
    """Return who is signed in by the cookie of the present request; None without a good one."""
    secret, origin = read_session(), request.headers.get("Origin")
    if secret is None or (origin and not is_own(origin, request.environ)):
        return None
    try:
        actor = get_container().tokens.read_session(secret, is_use=request.endpoint not in _BY_ITSELF)
    except Unauthenticated:
        return None
    g.by_cookie = True
    return actor


def read_session() -> str | None:
    """Return the session's secret in the present request."""
    return request.cookies.get(_name(_SESSION))


def read_visit() -> str | None:
    """Return what stands for the browser of the present request."""
    return request.cookies.get(_name(_VISIT))


def keep_session(response: Response, secret: str, until: datetime) -> None:
    """Have a browser keep a session."""
    # Lax: a link from elsewhere leads to a page with somebody signed in, and changes nothing.
    _set(response, _SESSION, secret, samesite="Lax", expires=until)
    response.delete_cookie(_name(_VISIT), secure=request.is_secure, httponly=True, samesite="Strict")


def drop_session(response: Response) -> None:
    """Have a browser forget its session."""
    response.delete_cookie(_name(_SESSION), secure=request.is_secure, httponly=True, samesite="Lax")


def keep_visit(response: Response, visit: str) -> None:
    """Have a browser keep what stands for it."""
    _set(response, _VISIT, visit, samesite="Strict")


def _name(name: str) -> str:
    # With the prefix, browsers take it from this host alone, by TLS alone, for all of its pages.
    return f"__Host-{name}" if request.is_secure else name


def _set(response: Response, name: str, value: str, *, samesite: str, expires: datetime | None = None) -> None:
    response.set_cookie(
        _name(name), value, expires=expires, path="/", secure=request.is_secure, httponly=True, samesite=samesite
    )
