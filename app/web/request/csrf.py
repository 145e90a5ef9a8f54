"""Protects requests that a session cookie authenticates against cross-site request forgery.

A browser sends its cookies with requests of any page. So a request that uses the cookie and could change something has
to show a token that only our own pages know: an HMAC of the cookie's secret. One check before every view covers all
routes. A request with a bearer token needs no CSRF token, because no browser adds that header by itself
(docs/decisions, 63).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from flask import Flask, Response, g, request

from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.web.request import session_cookie
from swallowtail.app.web.request.current_caller import get_caller

_HEADER, _FIELD = "X-CSRF-Token", "csrf"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
#: The login form, which is sent without a session, and the pages that show it.
_FORM = "login.sign_in"
_FORM_PAGES = frozenset({_FORM, "login.show_sign_in", "login.finish_provider_sign_in"})


class CsrfFailed(SwallowtailError):
    """The CSRF token is missing or invalid; reload the page."""

    code = "csrf"


def register(app: Flask) -> None:
    """Check the CSRF token of each request by cookie, and let templates print it."""
    app.before_request(_check_token)
    app.after_request(_keep_visit)
    app.jinja_env.globals.update(csrf=make_csrf_token, who=find_signed_in)


def find_signed_in() -> Actor | None:
    """Return the user who is signed in by a cookie, if the current request uses it."""
    try:
        actor = get_caller().actor
    except SwallowtailError:
        return None
    return actor if g.get("by_cookie") else None


def make_csrf_token() -> str:
    """Return the CSRF token for the forms and scripts of the current page; empty where none is needed."""
    if find_signed_in() is not None:
        return _token_of(session_cookie.read_session() or "")
    if request.endpoint not in _FORM_PAGES:
        return ""
    if "visit" not in g:
        g.visit = session_cookie.read_visit() or secrets.token_urlsafe(32)
    return _token_of(g.visit)


def _check_token() -> None:
    if request.method in _SAFE_METHODS:
        return
    if request.endpoint == _FORM:
        secret = session_cookie.read_visit()
    elif find_signed_in() is None:
        return
    else:
        secret = session_cookie.read_session()
    token = request.headers.get(_HEADER) or request.form.get(_FIELD, "")
    if not secret or not hmac.compare_digest(_token_of(secret).encode(), token.encode()):
        raise CsrfFailed


def _keep_visit(response: Response) -> Response:
    if "visit" in g:
        session_cookie.keep_visit(response, g.visit)
    return response


def _token_of(secret: str) -> str:
    return hmac.new(secret.encode(), b"a page of ours", hashlib.sha256).hexdigest()
