"""The one place where a view gets at an instance, or at anything inside one. On the road, before `core/services/tasks`.

Every view of the API looks through `seeing`, acts through `callers.act`, or enters here: who may do what is decided by
`core/security/permissions`, for whoever makes the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.security.permissions import Act, require, require_outside, require_schedule, require_task
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.web.container import get_runtime
from swallowtail.app.web.request.current_caller import get_caller


@contextmanager
def seeing() -> Iterator[Sight]:
    """Give what the caller may see, as of one moment."""
    with get_runtime().db.read() as session:
        yield Sight(session, get_caller().actor)


def enter_instance(instance_id: str, act: Act = Act.READ) -> str:
    """Return the id of an instance in which the caller may do something.

    Raises:
        InvalidInput: this is no id.
        Unauthenticated, NotFound, Forbidden: see `require`.
    """
    instance_id = check_instance_id(instance_id)
    with get_runtime().db.read() as session:
        require(session, get_caller().actor, act, instance_id)
    return instance_id


def enter_task(task_id: str, act: Act = Act.READ) -> str:
    """Return the id of a task with which the caller may do something. Raises as `enter_instance` does."""
    task_id = check_task_id(task_id)
    with get_runtime().db.read() as session:
        require_task(session, get_caller().actor, act, task_id)
    return task_id


def enter_schedule(schedule_id: str, act: Act = Act.READ) -> str:
    """Return the id of a schedule with which the caller may do something. Raises as `enter_instance` does."""
    schedule_id = check_task_id(schedule_id, "schedule_id")
    with get_runtime().db.read() as session:
        require_schedule(session, get_caller().actor, act, schedule_id)
    return schedule_id


def enter_outside(act: Act) -> None:
    """Let the caller do something that belongs to no instance. Raises Unauthenticated, Forbidden."""
    require_outside(get_caller().actor, act)
