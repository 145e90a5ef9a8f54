"""REST endpoints of the audit logs of instances and of the server."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.validation import check_instance_id
from swallowtail.app.web.api.reads import choose_limit, open_reader, write_page
from swallowtail.app.web.api.schemas.requests import AuditQuery
from swallowtail.app.web.api.schemas.responses import AuditPage

_TAG = {"name": "Audit log", "description": "Who did what to which object, and from where. Entries are append-only."}

bp = APIBlueprint("audit", __name__, tag=_TAG, url_prefix="/api/v1")


@bp.get("/instances/<instance_id>/audit")
@bp.input(AuditQuery, location="query", arg_name="query")
@bp.output(AuditPage)
def list_audit(instance_id: str, query: AuditQuery) -> Response:
    """Read an instance's audit log

    The latest entries first. Requires the role `admin`. `swallowtail audit verify` checks the integrity of a log.
    """
    instance_id, limit = check_instance_id(instance_id), choose_limit(query.limit)
    with open_reader() as reader:
        return write_page(*reader.audit(instance_id, query, limit=limit, cursor=query.cursor))


@bp.get("/audit")
@bp.input(AuditQuery, location="query", arg_name="query")
@bp.output(AuditPage)
def list_system_audit(query: AuditQuery) -> Response:
    """Read the server's audit log

    Actions on users, sessions and personal tokens, which belong to no instance. The latest entries first. Requires a
    superuser.
    """
    limit = choose_limit(query.limit)
    with open_reader() as reader:
        return write_page(*reader.audit(SYSTEM_SCOPE, query, limit=limit, cursor=query.cursor))
