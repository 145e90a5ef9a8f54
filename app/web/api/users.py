"""REST endpoints of user accounts, which superusers manage."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.identity import user_passwords, users
from swallowtail.app.core.identity.users import Identity
from swallowtail.app.core.schemas.identities import UserView
from swallowtail.app.core.security.roles import Act
from swallowtail.app.web.api.reads import choose_limit, write_page
from swallowtail.app.web.api.schemas.requests import NewUser, PasswordReset, UserQuery
from swallowtail.app.web.api.schemas.responses import UserPage, response
from swallowtail.app.web.request.current_caller import act
from swallowtail.app.web.request.json_body import write_json
from swallowtail.app.web.request.permission_order import permission_first

_TAG = {"name": "Users", "description": "User accounts, managed by superusers."}

bp = APIBlueprint("users", __name__, tag=_TAG, url_prefix="/api/v1/users")


@bp.get("")
@bp.input(UserQuery, location="query", arg_name="query")
@bp.output(UserPage)
def list_users(query: UserQuery) -> Response:
    """List users"""
    return write_page(*users.list_users(act(), limit=choose_limit(query.limit), after=query.cursor))


@bp.post("")
@permission_first(Act.MANAGE_USERS)
@bp.input(NewUser, arg_name="body", example={"name": "bob", "password": "correct horse battery"})
@bp.output(response(UserView), status_code=201, description="Created; `Location` is its URL")
@bp.doc(responses=[409, 429])
def create_user(body: NewUser) -> Response:
    """Create a user"""
    identity = None
    if body.issuer is not None or body.subject is not None:
        if body.issuer is None or body.subject is None:
            raise InvalidInput("issuer and subject must be used together", field="subject" if body.issuer else "issuer")
        identity = Identity(body.issuer, body.subject)
    view = users.create_user(act(), body.name, body.password, is_superuser=body.is_superuser, identity=identity)
    return write_json(view, 201, {"Location": f"/api/v1/users/{view['name']}"})


@bp.get("/<user_name>")
@bp.output(response(UserView))
def show_user(user_name: str) -> Response:
    """Show a user"""
    return write_json(users.read_user(act(), user_name))


@bp.post("/<user_name>/disable")
@bp.output(response(UserView))
@bp.doc(responses=[409])
def disable_user(user_name: str) -> Response:
    """Disable a user

    Revokes their sessions and personal tokens, and suspends the API tokens that they created. Live connections end
    within two seconds. Idempotent; the last superuser cannot be disabled.
    """
    return write_json(users.disable_user(act(), user_name))


@bp.post("/<user_name>/enable")
@bp.output(response(UserView))
def enable_user(user_name: str) -> Response:
    """Enable a user

    Revoked sessions and tokens stay revoked. Idempotent.
    """
    return write_json(users.enable_user(act(), user_name))


@bp.post("/<user_name>/promote")
@bp.output(response(UserView))
def promote_user(user_name: str) -> Response:
    """Make a user a superuser

    Superusers manage users and the server; they are not members of any instance by default. Idempotent.
    """
    return write_json(users.set_superuser(act(), user_name, is_superuser=True))


@bp.post("/<user_name>/demote")
@bp.output(response(UserView))
@bp.doc(responses=[409])
def demote_user(user_name: str) -> Response:
    """Revoke a user's superuser status

    Their live connections are checked again within two seconds. Idempotent; the last superuser cannot be demoted.
    """
    return write_json(users.set_superuser(act(), user_name, is_superuser=False))


@bp.post("/<user_name>/password")
@permission_first(Act.MANAGE_USERS)
@bp.input(PasswordReset, arg_name="body", example={"password": "correct horse battery"})
@bp.output(response(UserView))
@bp.doc(responses=[409, 429])
def set_password(user_name: str, body: PasswordReset) -> Response:
    """Set a user's password

    Revokes their sessions and personal tokens.
    """
    return write_json(user_passwords.set_password(act(), user_name, body.password))
