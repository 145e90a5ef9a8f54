"""REST endpoints of an instance's data: its retention and redaction policy, its export and its deletion."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.schemas.instances import DeletedRows, NewPolicy, PolicyView
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services.instance_deletion import delete_instance
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.services.instance_policy import put_policy, show_policy
from swallowtail.app.web.api.schemas.requests import Confirmation
from swallowtail.app.web.api.schemas.responses import response
from swallowtail.app.web.request.current_caller import act
from swallowtail.app.web.request.json_body import write_json
from swallowtail.app.web.request.permission_order import permission_first

_TAG = {"name": "Privacy", "description": "Retention and redaction, export and deletion of an instance."}

bp = APIBlueprint("privacy", __name__, tag=_TAG, url_prefix="/api/v1/instances")


@bp.get("/<instance_id>/policy")
@bp.output(response(PolicyView))
def read_policy(instance_id: str) -> Response:
    """Show an instance's policy"""
    return write_json(show_policy(act(), instance_id))


@bp.put("/<instance_id>/policy")
@permission_first(Act.MANAGE_POLICY)
@bp.input(NewPolicy, arg_name="body", example={"event_days": 30.0, "secret_fields": ["iban"], "hide_emails": True})
@bp.output(response(PolicyView))
def replace_policy(instance_id: str, body: NewPolicy) -> Response:
    """Replace an instance's policy

    Absent fields use the server settings. The policy takes effect in every process within `SWALLOWTAIL_POLICY_SECONDS`
    and applies to data that is recorded or shown from then on; existing events do not change.
    """
    return write_json(put_policy(act(), instance_id, body))


@bp.get("/<instance_id>/export")
@bp.doc(
    responses={200: "JSON lines; the last line is the manifest, without which the file is incomplete", 404: "Not found"}
)
def export(instance_id: str) -> Response:
    """Export an instance

    All its data as JSON lines, without hidden fields. Events go up to the `head` in the first line; other rows are read
    during the export. The manifest contains the number of lines of each kind and the SHA-256 of all lines before it.
    """
    lines = export_instance(act(), instance_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{instance_id}.jsonl"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(lines, 200, headers, mimetype="application/x-ndjson")


@bp.delete("/<instance_id>")
@permission_first(Act.DELETE)
@bp.input(Confirmation, location="query", arg_name="query")
@bp.output(response(DeletedRows))
@bp.doc(responses=[409])
def delete(instance_id: str, query: Confirmation) -> Response:
    """Delete an instance and all its data

    Runs are cancelled and subscribers receive `reset` with `revoked`; only the audit log is kept. If the response is
    lost, repeat the request: it continues the deletion.
    """
    return write_json(delete_instance(act(), instance_id, query.confirm or ""))
