"""REST: what an instance keeps and hides, taking a copy of all of it, and deleting it."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.schemas.instances import PolicyView
from swallowtail.app.core.services.instance_deletion import delete_instance
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.services.instance_policy import PolicyWish, put_policy, show_policy
from swallowtail.app.web.api.schemas.requests import Confirmation, NewPolicy
from swallowtail.app.web.api.schemas.responses import DeletedRows, response
from swallowtail.app.web.request.current_caller import act
from swallowtail.app.web.request.json_body import write_json

_TAG = {"name": "Privacy", "description": "What an instance keeps and hides; its copy, and its end."}

bp = APIBlueprint("keeping", __name__, tag=_TAG, url_prefix="/api/v1/instances")


@bp.get("/<instance_id>/policy")
@bp.output(response(PolicyView))
def read_policy(instance_id: str) -> Response:
    """Show an instance's policy"""
    return write_json(show_policy(act(), instance_id))


@bp.put("/<instance_id>/policy")
@bp.input(NewPolicy, arg_name="body", example={"event_days": 30.0, "secret_fields": ["iban"], "hide_emails": True})
@bp.output(response(PolicyView))
def replace_policy(instance_id: str, body: NewPolicy) -> Response:
    """Put a policy in the place of the one before

    What is left out is as the settings say. Applies in every process within `SWALLOWTAIL_POLICY_SECONDS`, to what is
    recorded and shown from then on; events that are in the log stay as they are.
    """
    wish = PolicyWish(body.event_days, body.task_days, body.secret_fields, body.hide_emails)
    return write_json(put_policy(act(), instance_id, wish))


@bp.get("/<instance_id>/export")
@bp.doc(
    responses={200: "Lines of JSON; the last is the manifest, without which the file is not whole", 404: "Not found"}
)
def export(instance_id: str) -> Response:
    """Take a copy of an instance

    Everything in it, as it may be seen, line by line. Events go up to the `head` in the first line, other rows are as
    they are when they are read. The manifest has the number of lines of each kind and the SHA-256 of all before it.
    """
    lines = export_instance(act(), instance_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{instance_id}.jsonl"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(lines, 200, headers, mimetype="application/x-ndjson")


@bp.delete("/<instance_id>")
@bp.input(Confirmation, location="query", arg_name="query")
@bp.output(response(DeletedRows))
@bp.doc(responses=[409])
def delete(instance_id: str, query: Confirmation) -> Response:
    """Delete an instance with everything in it

    Runs are cancelled, watchers get `reset` with `revoked`; only the audit log stays. When the answer does not come,
    ask again: what is gone is gone, and the rest follows.
    """
    done = delete_instance(act(), instance_id, query.confirm or "")
    return write_json(DeletedRows(tasks=done.tasks, events=done.events))
