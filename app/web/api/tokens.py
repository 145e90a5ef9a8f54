"""REST endpoints of the caller's personal tokens, with which programs act on their behalf."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.identity import api_tokens
from swallowtail.app.core.schemas.identities import CreatedToken, NewToken
from swallowtail.app.core.security.roles import Act
from swallowtail.app.web.api.reads import write_page
from swallowtail.app.web.api.schemas.responses import TokenList, response
from swallowtail.app.web.request.current_caller import act
from swallowtail.app.web.request.json_body import write_json
from swallowtail.app.web.request.permission_order import permission_first

_TAG = {"name": "Personal tokens", "description": "A program that sends a personal token acts on its user's behalf."}

bp = APIBlueprint("tokens", __name__, tag=_TAG, url_prefix="/api/v1/tokens")


@bp.get("")
@bp.output(TokenList)
def list_tokens() -> Response:
    """List your valid personal tokens"""
    return write_page(api_tokens.list_own(act()))


@bp.post("")
@permission_first(Act.MANAGE_OWN_TOKENS)
@bp.input(
    NewToken, arg_name="body", example={"name": "nightly report", "acts": ["instance.read"], "lifetime": 86_400.0}
)
@bp.output(response(CreatedToken), status_code=201, description="Created; `secret` is shown only once")
@bp.doc(responses=[404, 429])
def mint_token(body: NewToken) -> Response:
    """Create a personal token

    It never has more permissions than its user, nor than the token that was used to create it.
    """
    created = api_tokens.issue_personal(act(), body)
    return write_json(created, 201, {"Location": f"/api/v1/tokens/{created['token']['id']}"})


@bp.delete("/<token_id>")
@bp.doc(responses={204: "Revoked; idempotent"})
def revoke_token(token_id: str) -> Response:
    """Revoke one of your personal tokens"""
    api_tokens.revoke_own(act(), token_id)
    return Response(status=204)
