"""Applies reports from the sweeper and from Celery's signals: a run was lost, failed or cancelled.

A report may come twice or late. Each method checks the task's status and attempt in its transaction, and changes
nothing if the report is outdated.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import update

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.transitions import CANCELLED, close_open_steps, end_run, enqueue, lock_task, move
from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.states import TERMINAL, TaskStatus
from swallowtail.app.core.tables.tasks import Outbox, Task

WORKER_LOST = {"code": "worker_lost", "message": "The worker that ran this was lost"}


class Proposals:
    """Applies reports about runs for one process."""

    def __init__(self, unit: UnitOfWork, settings: Settings) -> None:
        self._unit = unit
        self._settings = settings

    def lost(self, task_id: str, attempt: int, error: dict[str, Any], *, if_still: datetime | None = None) -> None:
        """Retry or end a task whose run was lost; with `if_still`, only if its lease has not changed."""

        def work(change: Change) -> None:
            task = _find_running(change, task_id, attempt)
            if task is None or (if_still is not None and task.lease_until != if_still):
                return
            close_open_steps(change, task, error)
            if task.cancel_requested_at is not None:
                move(change, task, TaskStatus.CANCELLED)
            elif task.losses + 1 > self._settings.max_losses:
                move(change, task, TaskStatus.FAILED, message=error["message"], error=error)
            else:
                self._retry_lost(change, task, error)

        self._unit.commit(work)

    def _retry_lost(self, change: Change, task: Task, error: dict[str, Any]) -> None:
        losses, settings = task.losses + 1, self._settings
        # The first loss is most likely a deployment; only a task that keeps killing its workers is delayed.
        delay = 0.0 if losses == 1 else min(settings.backoff_base * 2.0**losses, settings.backoff_max)
        values = {"losses": losses, "token": None, "lease_until": None}
        move(change, task, TaskStatus.RETRYING, message=error["message"], error=error, **values)
        enqueue(change, task, delay)

    def failed(self, task_id: str, attempt: int, error: dict[str, Any]) -> None:
        """Fail a task whose run was killed, such as by its hard time limit."""

        def work(change: Change) -> None:
            task = _find_running(change, task_id, attempt)
            if task is not None:
                end_run(change, task, TaskStatus.FAILED, error)

        self._unit.commit(work)

    def cancelled(self, task_id: str, attempt: int) -> None:
        """Cancel a task whose wake-up was revoked, before or during its run."""

        def work(change: Change) -> None:
            task = lock_task(change.session, task_id)
            if task is None or TaskStatus(task.status) in TERMINAL or task.attempt not in (attempt - 1, attempt):
                return
            task.cancel_requested_at = task.cancel_requested_at or change.now
            change.session.flush()
            close_open_steps(change, task, CANCELLED)
            move(change, task, TaskStatus.CANCELLED)

        self._unit.commit(work)

    def discarded(self, task_id: str, attempt: int) -> None:
        """Make the outbox entry of a wake-up that a worker discarded due again soon."""

        def work(change: Change) -> None:
            change.session.execute(
                update(Outbox)
                .where(Outbox.task_id == task_id, Outbox.attempt == attempt)
                .values(available_at=db_now(self._settings.backoff_base))
                .execution_options(synchronize_session=False)
            )

        self._unit.commit(work)


def _find_running(change: Change, task_id: str, attempt: int) -> Task | None:
    task = lock_task(change.session, task_id)
    if task is None or task.status != TaskStatus.IN_PROGRESS.value or task.attempt != attempt:
        return None
    return task
