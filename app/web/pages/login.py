"""Serves the pages to sign in and out, with a password or through an identity provider.

Each sign-in starts a new session and ends the previous session of the browser, which prevents session fixation.
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
from swallowtail.app.core.identity.oidc import SignInAttempt, SignInProvider
from swallowtail.app.core.identity.sessions import SignedIn
from swallowtail.app.core.identity.users import find_or_create_user
from swallowtail.app.core.process.command_name import name_command
from swallowtail.app.core.security.signing_keys import SigningKeys
from swallowtail.app.web.container import get_container, get_runtime
from swallowtail.app.web.http.problem_details import answer_domain_error
from swallowtail.app.web.request import password_login, session_cookie
from swallowtail.app.web.request.csrf import find_signed_in
from swallowtail.app.web.request.current_caller import act, get_caller
from swallowtail.app.web.request.json_body import write_json

bp = Blueprint("login", __name__)

#: Cookie of a sign-in that continues at the identity provider, and its lifetime in seconds.
_ATTEMPT, _ATTEMPT_SECONDS = "swallowtail_attempt", 600
#: A path of this server; browsers read a leading `//` or `/\\` as the name of another host.
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,999}")


@bp.get("/login")
def show_sign_in() -> Response:
    """Show the sign-in form; `next` in the query is the page to open afterwards."""
    if get_runtime().settings.is_open or find_signed_in() is not None:
        return _redirect(_next())
    return _show_form(None, 200)


@bp.post("/login")
def sign_in() -> Response:
    """Sign in by name and password."""
    try:
        signed_in = password_login.sign_in(request.form.get("name", ""), request.form.get("password", ""))
    except (Unauthenticated, TooFast, NotSetUp) as refusal:
        problem = answer_domain_error(refusal)
        response = _show_form(refusal.message, problem.status_code)
        if "Retry-After" in problem.headers:
            response.headers["Retry-After"] = problem.headers["Retry-After"]
        return response
    return _start_session(signed_in, _next())


@bp.post("/logout")
def sign_out() -> Response:
    """Sign out."""
    _end_session()
    response = _redirect(url_for("login.show_sign_in"))
    session_cookie.drop_session(response)
    return response


@bp.post("/session/token")
def issue_token() -> Response:
    """Issue an access token for the Socket.IO connection of a page."""
    if find_signed_in() is None:
        raise Unauthenticated("sign in again")
    token, expires = sessions.issue_access_token(act(), get_container().tokens, get_caller().actor)
    return write_json({"token": token, "expires_at": stamp(expires)})


@bp.get("/login/provider")
def start_provider_sign_in() -> Response:
    """Send the browser to the identity provider."""
    attempt = SignInAttempt.begin(url_for("login.finish_provider_sign_in", _external=True))
    response = _redirect(_provider().write_address(attempt))
    cookie = _serializer().dumps({"attempt": asdict(attempt), "next": _next()})
    # Lax: the browser must send the cookie when the provider redirects it back.
    response.set_cookie(
        _ATTEMPT, cookie, max_age=_ATTEMPT_SECONDS, path=_provider_path(), secure=request.is_secure, httponly=True,
        samesite="Lax",
    )  # fmt: skip
    return response


@bp.get("/login/provider/back")
def finish_provider_sign_in() -> Response:
    """Sign in the user whom the identity provider has authenticated."""
    provider = _provider()
    try:
        attempt, following = _read_attempt()
        identity = provider.finish(attempt, request.args.to_dict())
        runtime = password_login.act_anonymously()
        user = find_or_create_user(runtime, identity, provision=runtime.settings.oidc_provision)
        if user is None or user.disabled_at is not None:
            raise Unauthenticated("there is no account for this identity; ask for one")
        response = _start_session(sessions.open_session(runtime, get_container().tokens, user), following)
    except Unauthenticated as refusal:
        response = _show_form(refusal.message, 401)
    # The cookie is valid for one attempt, successful or not.
    response.delete_cookie(_ATTEMPT, path=_provider_path())
    return response


def _provider_path() -> str:
    return f"{request.script_root}/login/provider"


def find_own_path(path: str | None) -> str:
    """Return `path` if it is a path of this server, else the start page."""
    return path if path is not None and _OWN_PATH.fullmatch(path) else f"{request.script_root}/"


def redirect_to_sign_in(refusal: Unauthenticated, show: Callable[[SwallowtailError], object]) -> object:
    """Redirect a browser to the sign-in page and back; answer other clients with `show`."""
    prefers_html = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    accepts_html = prefers_html and bool(request.accept_mimetypes.quality("text/html")) and "Accept" in request.headers
    if request.method != "GET" or not accepts_html or "Authorization" in request.headers:
        return show(refusal)
    return _redirect(
        url_for("login.show_sign_in", next=find_own_path(request.script_root + request.full_path.rstrip("?")))
    )


def _show_form(message: str | None, status: int) -> Response:
    runtime = get_runtime()
    command = name_command() if get_container().first_user.is_missing(runtime) else None
    page = render_template(
        "login.html",
        message=message,
        following=_next(),
        provider=bool(runtime.settings.oidc_issuer),
        command=command,
        demo=runtime.settings.demo_instance,
    )
    return make_response(page, status)


def _start_session(signed_in: SignedIn, following: str) -> Response:
    _end_session()
    response = _redirect(following)
    session_cookie.keep_session(response, signed_in.session_token, signed_in.session_expires_at)
    return response


def _end_session() -> None:
    actor = find_signed_in()
    if actor is not None and actor.token_id is not None:
        sessions.close_session(act(), actor.token_id)


def _redirect(path: str) -> Response:
    # A relative URL: the Host header of the request is not trustworthy.
    return Response(status=303, headers={"Location": path})


def _next() -> str:
    return find_own_path(request.values.get("next"))


def _provider() -> SignInProvider:
    settings = get_runtime().settings
    if not settings.oidc_issuer or settings.is_open:
        raise NotFound("no identity provider is configured")
    # Without a key no session can start afterwards.
    get_container().tokens.require_key()
    return SignInProvider(settings)


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(SigningKeys(get_runtime().settings).present[1], salt="attempt to sign in")


def _read_attempt() -> tuple[SignInAttempt, str]:
    try:
        cookie = _serializer().loads(request.cookies.get(_ATTEMPT, ""), max_age=_ATTEMPT_SECONDS)
        return SignInAttempt(**cookie["attempt"]), find_own_path(cookie["next"])
    except (BadSignature, KeyError, TypeError):
        raise Unauthenticated("this sign-in has expired or was started elsewhere; try again") from None
