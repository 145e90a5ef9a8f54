"""Finds why tasks that should start do not: no worker runs, none of them knows the kind, or the broker is away.

It is read for the caller who looks at a task, and is in no event. A task that waits for a busy worker has no reason.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from sqlalchemy.orm import Session

from swallowtail.app.core.coordination.worker_registry import NO_WORKER, live_kinds, warn_of_kind
from swallowtail.app.core.schemas.tasks import TaskSummary, Wait
from swallowtail.app.core.states import TaskStatus

_BROKER_AWAY = "The broker is unavailable: the task waits for it"
_BOTH_AWAY = "The broker is unavailable, and no worker is running: the task waits for both"
#: The statuses of tasks that wait for a worker.
_TO_START = frozenset({TaskStatus.SUBMITTED.value, TaskStatus.QUEUED.value, TaskStatus.RETRYING.value})


def add_waits(session: Session, tasks: Iterable[TaskSummary], *, is_broker_away: bool) -> None:
    """Set `waiting` of these tasks; takes one statement if any of them should start, and none otherwise."""
    to_start = [task for task in tasks if task["status"] in _TO_START]
    kinds = live_kinds(session) if to_start else {}
    for task in to_start:
        task["waiting"] = find_wait(task["status"], task["kind"], kinds, is_broker_away=is_broker_away)


def find_wait(status: str, kind: str, live: Container[str], *, is_broker_away: bool) -> Wait | None:
    """Return why a task waits; `live` has the kinds that live workers know."""
    if status not in _TO_START:
        return None
    if is_broker_away:
        return Wait(reason="broker_unavailable", message=_BROKER_AWAY if live else _BOTH_AWAY)
    if not live:
        return Wait(reason="no_worker", message=NO_WORKER)
    return None if kind in live else Wait(reason="no_worker_for_kind", message=warn_of_kind(kind))
