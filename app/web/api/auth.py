"""REST endpoints to sign in and out, to renew a session, and to show the caller."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.events import stamp
from swallowtail.app.core.identity import sessions
from swallowtail.app.core.identity.sessions import SignedIn
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.security.permissions import require_authenticated
from swallowtail.app.core.security.roles import Act
from swallowtail.app.web.api.schemas.requests import Login, PasswordChange, RefreshRequest
from swallowtail.app.web.api.schemas.responses import CallerView, SessionTokens, response
from swallowtail.app.web.request import password_login
from swallowtail.app.web.request.current_caller import act, get_caller
from swallowtail.app.web.request.json_body import write_json
from swallowtail.app.web.request.permission_order import permission_first

_TAG = {"name": "Authentication", "description": "Sign in and out, renew a session, and show the caller."}

bp = APIBlueprint("auth", __name__, tag=_TAG, url_prefix="/api/v1/auth")


@bp.post("/login")
@bp.input(Login, arg_name="body", example={"name": "ann", "password": "correct horse battery"})
@bp.output(response(SessionTokens))
@bp.doc(responses=[401, 429])
def login(body: Login) -> Response:
    """Sign in with name and password

    The response is the same for an unknown name and a wrong password.
    """
    return _write_session(password_login.sign_in(body.name, body.password))


@bp.post("/refresh")
@bp.input(RefreshRequest, arg_name="body", example={"session_token": "sws_0b7a2c9e53f44c0e9d5e2f1f6f0a6a11_secret"})
@bp.output(response(SessionTokens))
@bp.doc(responses=[401])
def refresh(body: RefreshRequest) -> Response:
    """Get a new access token

    A session token is valid for one call; the response contains the next one. Reuse of an earlier session token ends
    the session, because it means that the token was stolen.
    """
    return _write_session(password_login.refresh(body.session_token))


@bp.post("/logout")
@bp.doc(responses={204: "Signed out", 409: "This kind of token cannot be revoked here"})
def logout() -> Response:
    """Sign out

    Ends the session of the access token, or revokes the personal token.
    """
    sessions.sign_out(act())
    return Response(status=204)


@bp.get("/whoami")
@bp.output(response(CallerView))
def whoami() -> Response:
    """Show the caller and the limits of their token"""
    actor = get_caller().actor
    require_authenticated(actor)
    caller = CallerView(
        kind=actor.kind,
        id=actor.id,
        name=actor.name,
        is_superuser=actor.is_superuser,
        acts=None if actor.acts is None else sorted(actor.acts),
        instance_id=actor.instance_id,
        task_id=actor.task_id,
        fields=None if actor.fields is None else sorted(actor.fields),
        expires_at=stamp(actor.expires_at),
    )
    return write_json(caller)


@bp.post("/password")
@permission_first(Act.MANAGE_OWN_TOKENS)
@bp.input(
    PasswordChange,
    arg_name="body",
    example={"password": "correct horse battery", "new_password": "staple after staple"},
)
@bp.doc(
    responses={
        204: "Password changed; all sessions and personal tokens of the user have ended",
        409: "The user has no password here",
        429: "Too many attempts",
    }
)
def change_password(body: PasswordChange) -> Response:
    """Change your password"""
    password_login.change_password(body.password, body.new_password)
    return Response(status=204)


def _write_session(signed_in: SignedIn) -> Response:
    actor = signed_in.actor
    fields = {"token_type": "Bearer", "user_id": actor.user_id or "", "name": actor.name}
    return write_json(view_row(SessionTokens, signed_in, **fields))
