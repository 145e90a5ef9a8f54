"""REST endpoints of an instance's members and of the API tokens for its front ends."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.identity import api_tokens, members
from swallowtail.app.core.schemas.identities import CreatedToken, MemberView, NewFrontEndToken
from swallowtail.app.core.security.roles import Act
from swallowtail.app.web.api.reads import write_page
from swallowtail.app.web.api.schemas.requests import NewRole
from swallowtail.app.web.api.schemas.responses import MemberList, TokenList, response
from swallowtail.app.web.container import get_container
from swallowtail.app.web.request.current_caller import act
from swallowtail.app.web.request.json_body import write_json
from swallowtail.app.web.request.permission_order import permission_first

_TAG = {"name": "Access", "description": "Members of an instance with their roles, and API tokens for its front ends."}

bp = APIBlueprint("members", __name__, tag=_TAG, url_prefix="/api/v1/instances/<instance_id>")


@bp.get("/members")
@bp.output(MemberList)
def list_members(instance_id: str) -> Response:
    """List an instance's members"""
    return write_page(members.list_members(act(), instance_id))


@bp.put("/members/<user_name>")
@permission_first(Act.MANAGE_MEMBERS)
@bp.input(NewRole, arg_name="body", example={"role": "operator"})
@bp.output(response(MemberView))
@bp.doc(responses=[409])
def set_member(instance_id: str, user_name: str, body: NewRole) -> Response:
    """Assign a role to a user

    Adds the user as a member if necessary. Only owners can add or change owners, and the last owner cannot be removed.
    """
    return write_json(members.set_member(act(), instance_id, user_name, body.role))


@bp.delete("/members/<user_name>")
@bp.doc(responses={204: "Removed; their live connections lose access within two seconds"})
def remove_member(instance_id: str, user_name: str) -> Response:
    """Remove a member

    API tokens that they created are revoked. Members may remove themselves; the last owner cannot be removed.
    """
    members.remove_member(act(), instance_id, user_name)
    return Response(status=204)


@bp.get("/front-end-tokens")
@bp.output(TokenList)
def list_front_end_tokens(instance_id: str) -> Response:
    """List an instance's valid API tokens"""
    return write_page(api_tokens.list_front_ends(act(), instance_id))


@bp.post("/front-end-tokens")
@permission_first(Act.ISSUE_TOKENS)
@bp.input(NewFrontEndToken, arg_name="body", example={"name": "shop page", "lifetime": 3600.0})
@bp.output(response(CreatedToken), status_code=201, description="Created; `secret` is shown only once")
@bp.doc(responses=[429])
def mint_front_end_token(instance_id: str, body: NewFrontEndToken) -> Response:
    """Create an API token for a front end

    A front end uses it to read the instance, or one task in it, by REST and Socket.IO. It cannot have more permissions
    than its creator.
    """
    created = api_tokens.issue_front_end(act(), get_container().tokens, instance_id, body)
    address = f"/api/v1/instances/{instance_id}/front-end-tokens/{created['token']['id']}"
    return write_json(created, 201, {"Location": address})


@bp.delete("/front-end-tokens/<token_id>")
@bp.doc(responses={204: "Revoked; its live connections end within two seconds"})
def revoke_front_end_token(instance_id: str, token_id: str) -> Response:
    """Revoke an API token of a front end"""
    api_tokens.revoke_front_end(act(), instance_id, token_id)
    return Response(status=204)
