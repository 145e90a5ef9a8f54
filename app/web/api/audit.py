"""REST: who did what, in an instance and outside of all of them."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.audit.reader import Wanted
from swallowtail.app.core.validation import check_instance_id
from swallowtail.app.web.api.paging import choose_limit, write_page
from swallowtail.app.web.api.permission_scope import seeing
from swallowtail.app.web.api.schemas.requests import AuditQuery
from swallowtail.app.web.api.schemas.responses import AuditPage

_TAG = {"name": "Audit log", "description": "Who did what to which object, from where. Entries are only ever added."}

bp = APIBlueprint("audit", __name__, tag=_TAG, url_prefix="/api/v1")


@bp.get("/instances/<instance_id>/audit")
@bp.input(AuditQuery, location="query", arg_name="query")
@bp.output(AuditPage)
def list_audit(instance_id: str, query: AuditQuery) -> Response:
    """Read an instance's audit log

    The latest first. Takes the role `admin`. `swallowtail audit verify` finds out whether a log is whole.
    """
    instance_id, limit = check_instance_id(instance_id), choose_limit(query.limit)
    with seeing() as sight:
        return write_page(*sight.audit(instance_id, _read_wanted(query), limit=limit, cursor=query.cursor))


@bp.get("/audit")
@bp.input(AuditQuery, location="query", arg_name="query")
@bp.output(AuditPage)
def list_system_audit(query: AuditQuery) -> Response:
    """Read the audit log of what is in no instance

    Users, sessions and personal tokens, the latest first. Takes a superuser.
    """
    limit = choose_limit(query.limit)
    with seeing() as sight:
        return write_page(*sight.system_audit(_read_wanted(query), limit=limit, cursor=query.cursor))


def _read_wanted(query: AuditQuery) -> Wanted:
    return Wanted(query.action, query.actor, query.object_id, query.since, query.until)
