"""REST: schedules and their slots."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from app.core import actions, planning
from app.core.validate import check_instance_id, check_task_id
from app.web.api.answers import AddedSchedule, ScheduleList, SlotList
from app.web.api.given import NewSchedule, PageQuery, SlotQuery
from app.web.api.paging import choose_limit, write_page
from app.web.api.scope import seeing
from app.web.api.shapes import Schedule
from app.web.bodies import write_json
from app.web.callers import act

_TAG = {"name": "Schedules", "description": "Tasks that are submitted again and again, or later."}

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
@bp.output(ScheduleList)
def list_schedules(instance_id: str, query: PageQuery) -> Response:
    """List an instance's schedules

    By name, without inputs: ask for a schedule to have its input.
    """
    instance_id, limit = check_instance_id(instance_id), choose_limit(query.limit)
    with seeing() as sight:
        return write_page(*sight.schedules(instance_id, limit=limit, cursor=query.cursor))


@bp.post("/instances/<instance_id>/schedules")
@bp.input(NewSchedule, arg_name="body", example=_EXAMPLE)
@bp.output(AddedSchedule, status_code=201, description="It was added; `Location` is its address")
@bp.doc(responses=[409])
def add_schedule(instance_id: str, body: NewSchedule) -> Response:
    """Add a schedule

    What it is to submit is checked now, and again at every slot.
    """
    wanted = planning.NewSchedule(instance_id=instance_id, **dict(body))
    runtime = act()
    view = planning.add_schedule(runtime, wanted)
    warnings = actions.find_warnings(runtime, view["kind"])
    told = {**view, "warnings": warnings} if warnings else view
    return write_json(told, 201, {"Location": f"/api/v1/schedules/{view['id']}"})


@bp.get("/schedules/<schedule_id>")
@bp.output(Schedule)
def show_schedule(schedule_id: str) -> Response:
    """Show a schedule"""
    with seeing() as sight:
        return write_json(sight.schedule(check_task_id(schedule_id, "schedule_id")))


@bp.get("/schedules/<schedule_id>/slots")
@bp.input(SlotQuery, location="query", arg_name="query")
@bp.output(SlotList)
def list_slots(schedule_id: str, query: SlotQuery) -> Response:
    """List a schedule's latest slots"""
    schedule_id, limit = check_task_id(schedule_id, "schedule_id"), choose_limit(query.limit)
    with seeing() as sight:
        return write_page(sight.slots(schedule_id, limit))


@bp.post("/schedules/<schedule_id>/pause")
@bp.output(Schedule)
def pause_schedule(schedule_id: str) -> Response:
    """Pause a schedule

    No slot comes until it is resumed. Pausing again changes nothing.
    """
    return write_json(planning.pause_schedule(act(), schedule_id))


@bp.post("/schedules/<schedule_id>/resume")
@bp.output(Schedule)
def resume_schedule(schedule_id: str) -> Response:
    """Resume a schedule

    It goes on with the first slot from now; those of the pause are gone.
    """
    return write_json(planning.resume_schedule(act(), schedule_id))


@bp.delete("/schedules/<schedule_id>")
@bp.doc(responses={204: "It was removed; the tasks that it submitted stay"})
def remove_schedule(schedule_id: str) -> Response:
    """Remove a schedule"""
    planning.remove_schedule(act(), schedule_id)
    return Response(status=204)
