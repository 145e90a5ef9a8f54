"""REST endpoints of schedules and their slots."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.schemas.schedules import NewSchedule, ScheduleView
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services import schedules as schedule_service
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.web.api.reads import choose_limit, open_reader, write_page
from swallowtail.app.web.api.schemas.requests import PageQuery, SlotQuery
from swallowtail.app.web.api.schemas.responses import AddedSchedule, SchedulePage, SlotList, response
from swallowtail.app.web.request.current_caller import act
from swallowtail.app.web.request.json_body import write_json
from swallowtail.app.web.request.permission_order import permission_first

_TAG = {"name": "Schedules", "description": "Plans to submit tasks repeatedly, or once at a later time."}

bp = APIBlueprint("schedules", __name__, tag=_TAG, url_prefix="/api/v1")

_EXAMPLE = {
    "name": "Every weekday",
    "kind": "echo",
    "input": {"message": "Good morning"},
    "cron": "0 9 * * 1-5",
    "timezone": "Europe/Berlin",
}


@bp.get("/instances/<instance_id>/schedules")
@bp.input(PageQuery, location="query", arg_name="query")
@bp.output(SchedulePage)
def list_schedules(instance_id: str, query: PageQuery) -> Response:
    """List an instance's schedules

    By name, without inputs. A single schedule includes its input.
    """
    instance_id, limit = check_instance_id(instance_id), choose_limit(query.limit)
    with open_reader() as reader:
        return write_page(*reader.schedules(instance_id, limit=limit, cursor=query.cursor))


@bp.post("/instances/<instance_id>/schedules")
@permission_first(Act.SCHEDULE)
@bp.input(NewSchedule, arg_name="body", example=_EXAMPLE)
@bp.output(response(AddedSchedule), status_code=201, description="Added; `Location` is its URL")
@bp.doc(responses=[409])
def add_schedule(instance_id: str, body: NewSchedule) -> Response:
    """Add a schedule

    The task that it submits is validated now and again at each slot.
    """
    context = act()
    view = schedule_service.add_schedule(context, instance_id, body)
    warnings = task_service.find_warnings(context, view["kind"])
    added = {**view, "warnings": warnings} if warnings else view
    return write_json(added, 201, {"Location": f"/api/v1/schedules/{view['id']}"})


@bp.get("/schedules/<schedule_id>")
@bp.output(response(ScheduleView))
def show_schedule(schedule_id: str) -> Response:
    """Show a schedule"""
    with open_reader() as reader:
        return write_json(reader.schedule(check_task_id(schedule_id, "schedule_id")))


@bp.get("/schedules/<schedule_id>/slots")
@bp.input(SlotQuery, location="query", arg_name="query")
@bp.output(SlotList)
def list_slots(schedule_id: str, query: SlotQuery) -> Response:
    """List a schedule's latest slots"""
    schedule_id, limit = check_task_id(schedule_id, "schedule_id"), choose_limit(query.limit)
    with open_reader() as reader:
        return write_page(reader.slots(schedule_id, limit))


@bp.post("/schedules/<schedule_id>/pause")
@bp.output(response(ScheduleView))
def pause_schedule(schedule_id: str) -> Response:
    """Pause a schedule

    It submits nothing until it is resumed. Idempotent.
    """
    return write_json(schedule_service.pause_schedule(act(), schedule_id))


@bp.post("/schedules/<schedule_id>/resume")
@bp.output(response(ScheduleView))
def resume_schedule(schedule_id: str) -> Response:
    """Resume a schedule

    It continues with the next slot; slots during the pause are lost.
    """
    return write_json(schedule_service.resume_schedule(act(), schedule_id))


@bp.delete("/schedules/<schedule_id>")
@bp.doc(responses={204: "Removed; the tasks that it submitted are kept"})
def remove_schedule(schedule_id: str) -> Response:
    """Remove a schedule"""
    schedule_service.remove_schedule(act(), schedule_id)
    return Response(status=204)
