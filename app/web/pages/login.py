"""The pages where somebody signs in and out, here or at an identity provider. Before the road.

Signing in always begins a session of its own, and ends the one that the browser had: a cookie that somebody else put
there is worth nothing afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict

from flask import Blueprint, Response, make_response, render_template, request, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer

from swallowtail.app.core.errors import NotFound, NotSetUp, SwallowtailError, TooFast, Unauthenticated
from swallowtail.app.core.events import stamp
from swallowtail.app.core.identity import sessions
from swallowtail.app.core.identity.oidc import Attempt, Provider
from swallowtail.app.core.identity.sessions import SignedIn
from swallowtail.app.core.identity.users import meet
from swallowtail.app.core.security.signing_keys import SigningKeys
from swallowtail.app.web.container import get_runtime, get_web
from swallowtail.app.web.http.problem_details import answer_domain_error
from swallowtail.app.web.request import password_login, session_cookie
from swallowtail.app.web.request.csrf import find_signed_in
from swallowtail.app.web.request.current_caller import act, get_caller
from swallowtail.app.web.request.json_body import write_json

bp = Blueprint("lobby", __name__)

#: Holds an attempt to sign in at the provider, while the browser is there; seconds.
_ATTEMPT, _ATTEMPT_LASTS = "swallowtail_attempt", 600
#: A path of this server: browsers take a second slash, or a backslash, for the beginning of another one's name.
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,999}")


@bp.get("/login")
def show_sign_in() -> Response:
    """Show the form to sign in; `next` in the query is where to go then."""
    if _is_in():
        return _go(_next())
    return _show_form(None, 200)


@bp.post("/login")
def sign_in() -> Response:
    """Sign in by name and password."""
    try:
        signed_in = password_login.sign_in(request.form.get("name", ""), request.form.get("password", ""))
    except (Unauthenticated, TooFast, NotSetUp) as refusal:
        kind = answer_domain_error(refusal)
        answer = _show_form(refusal.message, kind.status_code)
        if "Retry-After" in kind.headers:
            answer.headers["Retry-After"] = kind.headers["Retry-After"]
        return answer
    return _enter(signed_in, _next())


@bp.post("/logout")
def sign_out() -> Response:
    """Sign out."""
    _end_present()
    answer = _go(url_for("lobby.show_sign_in"))
    session_cookie.drop_session(answer)
    return answer


@bp.post("/session/token")
def give_token() -> Response:
    """Give a page that somebody is signed in to a token for its socket."""
    if find_signed_in() is None:
        raise Unauthenticated("sign in again")
    token, expires = sessions.give_access(act(), get_web().tokens, get_caller().actor)
    return write_json({"token": token, "expires_at": stamp(expires)})


@bp.get("/login/provider")
def go_to_provider() -> Response:
    """Send the browser to the identity provider."""
    attempt = Attempt.begin(url_for("lobby.come_from_provider", _external=True))
    answer = _go(_provider().write_address(attempt))
    kept = _sealer().dumps({"attempt": asdict(attempt), "next": _next()})
    # Lax: the provider's page sends the browser back, and that has to bring it along.
    answer.set_cookie(
        _ATTEMPT, kept, max_age=_ATTEMPT_LASTS, path=_provider_path(), secure=request.is_secure, httponly=True,
        samesite="Lax",
    )  # fmt: skip
    return answer


@bp.get("/login/provider/back")
def come_from_provider() -> Response:
    """Sign in whom the identity provider vouches for."""
    provider = _provider()
    try:
        attempt, following = _read_attempt()
        identity = provider.finish(attempt, request.args.to_dict())
        runtime = password_login.act_as_nobody()
        user = meet(runtime, identity, provision=runtime.settings.oidc_provision)
        if user is None or user.disabled_at is not None:
            raise Unauthenticated("nobody here is known by this identity; ask for an account")
        answer = _enter(sessions.open_session(runtime, get_web().tokens, user), following)
    except Unauthenticated as refusal:
        answer = _show_form(refusal.message, 401)
    # It is good once, whatever came of it.
    answer.delete_cookie(_ATTEMPT, path=_provider_path())
    return answer


def _provider_path() -> str:
    return f"{request.script_root}/login/provider"


def find_own_path(path: str | None) -> str:
    """Return a path of this server to go to: what was asked for if it is one, else the first page."""
    return path if path is not None and _OWN_PATH.fullmatch(path) else f"{request.script_root}/"


def invite(refusal: Unauthenticated, show: Callable[[SwallowtailError], object]) -> object:
    """Answer somebody who has to sign in: send a browser to do so and back, show anybody else the refusal."""
    wants_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    asked = wants_page and bool(request.accept_mimetypes.quality("text/html")) and "Accept" in request.headers
    if request.method != "GET" or not asked or "Authorization" in request.headers:
        return show(refusal)
    return _go(url_for("lobby.show_sign_in", next=find_own_path(request.script_root + request.full_path.rstrip("?"))))


def _show_form(message: str | None, status: int) -> Response:
    provider = bool(get_runtime().settings.oidc_issuer)
    page = render_template("login.html", message=message, following=_next(), provider=provider)
    return make_response(page, status)


def _enter(signed_in: SignedIn, following: str) -> Response:
    _end_present()
    answer = _go(following)
    session_cookie.keep_session(answer, signed_in.session_secret, signed_in.session_expires_at)
    return answer


def _end_present() -> None:
    actor = find_signed_in()
    if actor is not None and actor.token_id is not None:
        sessions.close_session(act(), actor.token_id)


def _is_in() -> bool:
    return get_runtime().settings.is_open or find_signed_in() is not None


def _go(path: str) -> Response:
    # As it stands, and not as an absolute address: the host is what the caller says it is.
    return Response(status=303, headers={"Location": path})


def _next() -> str:
    return find_own_path(request.values.get("next"))


def _provider() -> Provider:
    settings = get_runtime().settings
    if not settings.oidc_issuer or settings.is_open:
        raise NotFound("nobody signs in elsewhere here")
    # Before anybody is sent there, to come back to a session that cannot be begun.
    get_web().tokens.require_key()
    return Provider(settings)


def _sealer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(SigningKeys(get_runtime().settings).present[1], salt="attempt to sign in")


def _read_attempt() -> tuple[Attempt, str]:
    try:
        kept = _sealer().loads(request.cookies.get(_ATTEMPT, ""), max_age=_ATTEMPT_LASTS)
        return Attempt(**kept["attempt"]), find_own_path(kept["next"])
    except (BadSignature, KeyError, TypeError):
        raise Unauthenticated("this sign-in was not begun here, or it took too long; begin again") from None
