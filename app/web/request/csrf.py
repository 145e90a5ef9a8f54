"""The proof that a request comes from a page of ours. Before the road.

A browser sends its cookies along with whatever any page asks. So a request that is made by a cookie and could change
something has to show what only our own pages can know: a text made of the cookie's secret, which they find in
themselves. `register` has that looked at in one place. Requests that show a token need no such proof: nobody sends one
without meaning to.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from flask import Flask, Response, g, request

from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.security.permissions import Actor
from swallowtail.app.web.request import session_cookie
from swallowtail.app.web.request.current_caller import get_caller

_HEADER, _FIELD = "X-CSRF-Token", "csrf"
_ASKING_ONLY = ("GET", "HEAD", "OPTIONS")
#: What is sent before anybody is known, and the pages that it is sent from.
_FORM = "login.sign_in"
_FORM_PAGES = frozenset({_FORM, "login.show_sign_in", "login.finish_provider_sign_in"})


class CsrfFailed(SwallowtailError):
    """This request does not come from a page of ours; load the page again."""

    code = "csrf"


def register(app: Flask) -> None:
    """Refuse what a foreign page has a browser ask, and let templates print the proof."""
    app.before_request(_check_proof)
    app.after_request(_keep_visit)
    app.jinja_env.globals.update(csrf=make_csrf_token, who=find_signed_in)


def find_signed_in() -> Actor | None:
    """Return who makes the present request by a cookie."""
    try:
        actor = get_caller().actor
    except SwallowtailError:
        return None
    return actor if g.get("by_cookie") else None


def make_csrf_token() -> str:
    """Return what a page of ours shows with a request that could change something; empty where it needs none."""
    if find_signed_in() is not None:
        return _prove(session_cookie.read_session() or "")
    if request.endpoint not in _FORM_PAGES:
        return ""
    if "visit" not in g:
        g.visit = session_cookie.read_visit() or secrets.token_urlsafe(32)
    return _prove(g.visit)


def _check_proof() -> None:
    if request.method in _ASKING_ONLY:
        return
    if request.endpoint == _FORM:
        secret = session_cookie.read_visit()
    elif find_signed_in() is None:
        return
    else:
        secret = session_cookie.read_session()
    shown = request.headers.get(_HEADER) or request.form.get(_FIELD, "")
    if not secret or not hmac.compare_digest(_prove(secret).encode(), shown.encode()):
        raise CsrfFailed


def _keep_visit(response: Response) -> Response:
    if "visit" in g:
        session_cookie.keep_visit(response, g.visit)
    return response


def _prove(secret: str) -> str:
    return hmac.new(secret.encode(), b"a page of ours", hashlib.sha256).hexdigest()
