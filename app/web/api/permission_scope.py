"""Checks the caller's permissions before a view reads or changes anything of an instance.

Each view reads through `open_reader` or acts through `current_caller.act`; `core/security/permissions` decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.security.permissions import require, require_outside, require_schedule, require_task
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.web.container import get_runtime
from swallowtail.app.web.request.current_caller import get_caller


@contextmanager
def open_reader() -> Iterator[AuthorizedReads]:
    """Open a read transaction that returns only what the caller may see."""
    with get_runtime().db.read() as session:
        yield AuthorizedReads(session, get_caller().actor)


def enter_instance(instance_id: str, act: Act = Act.READ) -> str:
    """Check that the caller may do something in an instance; return its id.

    Raises:
        InvalidInput: the id is malformed.
        Unauthenticated, NotFound, Forbidden: see `require`.
    """
    instance_id = check_instance_id(instance_id)
    with get_runtime().db.read() as session:
        require(session, get_caller().actor, act, instance_id)
    return instance_id


def enter_task(task_id: str, act: Act = Act.READ) -> str:
    """Check that the caller may do something with a task; return its id. Raises the errors of `enter_instance`."""
    task_id = check_task_id(task_id)
    with get_runtime().db.read() as session:
        require_task(session, get_caller().actor, act, task_id)
    return task_id


def enter_schedule(schedule_id: str, act: Act = Act.READ) -> str:
    """Check that the caller may do something with a schedule; return its id. Raises the errors of `enter_instance`."""
    schedule_id = check_task_id(schedule_id, "schedule_id")
    with get_runtime().db.read() as session:
        require_schedule(session, get_caller().actor, act, schedule_id)
    return schedule_id


def enter_outside(act: Act) -> None:
    """Check that the caller may do something outside of instances. Raises Unauthenticated, Forbidden."""
    require_outside(get_caller().actor, act)
