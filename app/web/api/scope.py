"""The one place where a view gets at an instance, or at anything inside one. On the road, before `core/actions`.

Every view of the API comes through `enter_instance`, directly or by way of the task or schedule that it is about: who
may do what is decided here and nowhere else.
"""

from __future__ import annotations

from app.core.reads import read_schedule, read_task
from app.core.validate import check_instance_id, check_task_id
from app.web.parts import get_runtime


def enter_instance(instance_id: str) -> str:
    """Return the id of an instance that the caller may use. Raises InvalidInput; whoever reads it raises NotFound."""
    return check_instance_id(instance_id)


def enter_task(task_id: str) -> str:
    """Return the id of a task in an instance that the caller may use. Raises InvalidInput, NotFound."""
    task_id = check_task_id(task_id)
    with get_runtime().db.read() as session:
        task = read_task(session, task_id)
    enter_instance(task["instance_id"])
    return task_id


def enter_schedule(schedule_id: str) -> str:
    """Return the id of a schedule in an instance that the caller may use. Raises InvalidInput, NotFound."""
    schedule_id = check_task_id(schedule_id, "schedule_id")
    with get_runtime().db.read() as session:
        schedule = read_schedule(session, schedule_id)
    enter_instance(schedule["instance_id"])
    return schedule_id
