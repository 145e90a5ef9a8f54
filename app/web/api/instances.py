"""REST endpoints of instances, their snapshots and their event logs."""

from __future__ import annotations

from typing import cast

import orjson
from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.core.queries.snapshot import SnapshotLimits
from swallowtail.app.core.schemas.instances import InstanceView
from swallowtail.app.core.schemas.tasks import EventView, SnapshotView
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services import instances as instance_service
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.web.api.reads import choose_limit, open_reader, write_page
from swallowtail.app.web.api.schemas.requests import EventQuery, NewInstance, PageQuery
from swallowtail.app.web.api.schemas.responses import EventPage, InstancePage, response
from swallowtail.app.web.container import get_runtime
from swallowtail.app.web.http.problem_details import GoneFromReplay
from swallowtail.app.web.request.current_caller import act
from swallowtail.app.web.request.json_body import write_json
from swallowtail.app.web.request.permission_order import permission_first

_TAG = {
    "name": "Instances",
    "description": "Workspaces, each with its tasks, its numbered event log and its Socket.IO room.",
}

bp = APIBlueprint("instances", __name__, tag=_TAG, url_prefix="/api/v1/instances")


@bp.get("")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(InstancePage)
def list_instances(query: PageQuery) -> Response:
    """List instances"""
    with open_reader() as reader:
        return write_page(*reader.instances(limit=choose_limit(query.limit), cursor=query.cursor))


@bp.post("")
@permission_first(Act.CREATE_INSTANCE)
@bp.input(NewInstance, arg_name="body", example={"name": "Acme", "id": "acme"})
@bp.output(response(InstanceView), status_code=201, description="Created; `Location` is its URL")
@bp.doc(responses=[409])
def create_instance(body: NewInstance) -> Response:
    """Create an instance"""
    view = instance_service.create_instance(act(), body.name, body.id)
    return write_json(view, 201, {"Location": f"/api/v1/instances/{view['id']}"})


@bp.get("/<instance_id>")
@bp.output(response(InstanceView))
def show_instance(instance_id: str) -> Response:
    """Show an instance"""
    with open_reader() as reader:
        return write_json(reader.instance(check_instance_id(instance_id)))


@bp.get("/<instance_id>/snapshot")
@bp.output(response(SnapshotView))
def show_snapshot(instance_id: str) -> Response:
    """Show the current state of an instance

    The starting point for a client that cannot read the log from its start: the latest tasks with their steps, and the
    event number to continue from. Inputs, results and outputs are part of single tasks and steps only.
    """
    runtime = get_runtime()
    with open_reader() as reader:
        rows = reader.snapshot_rows(check_instance_id(instance_id), SnapshotLimits.of(runtime.settings))
    return Response(runtime.offload(rows.encode, reader.view), mimetype="application/json")


@bp.get("/<instance_id>/events")
@bp.input(EventQuery, location="query", arg_name="query")
@bp.output(response(EventPage))
@bp.doc(responses=[410])
def list_events(instance_id: str, query: EventQuery) -> Response:
    """Read an instance's event log

    The events after `since` as Socket.IO clients receive them, in order and without gaps.
    """
    instance_id, limit = check_instance_id(instance_id), choose_limit(query.limit)
    task_id = None if query.task_id is None else check_task_id(query.task_id)
    with open_reader() as reader:
        head = reader.head(instance_id)
        _check_position(head, query)
        events = reader.events(instance_id, query.since, limit, task_id)
    # A short page ends at the head, even if the filter left out events of other tasks.
    reached = events[-1].seq if len(events) == limit else head.seq
    page = EventPage(
        items=cast("list[EventView]", [event.wire() for event in events]),
        epoch=head.epoch,
        head=head.seq,
        min_seq=head.min_seq,
        next_since=reached,
    )
    return Response(get_runtime().offload(orjson.dumps, page), mimetype="application/json")


def _check_position(head: Head, query: EventQuery) -> None:
    details = {"epoch": head.epoch, "head": head.seq, "min_seq": head.min_seq}
    match head.check(query.epoch, query.since):
        case "epoch":
            raise GoneFromReplay("epoch", "this position belongs to another log", details)
        case "too_old":
            raise GoneFromReplay("too_old", f"events up to {head.min_seq} are no longer stored", details)
