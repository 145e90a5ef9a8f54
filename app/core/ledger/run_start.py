"""Starts a run inside a transaction: claims a queued task for one attempt, or gives it back to wait."""

from __future__ import annotations

from collections.abc import Container
from typing import TypeGuard

import structlog
from sqlalchemy import delete, update

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.claims import Claim, describe, is_late, reached
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.transitions import end_run, hold, lock_task, may_wait, move, reread
from swallowtail.app.core.privacy.keyring import KeyMissing
from swallowtail.app.core.states import CLAIMABLE, TaskStatus
from swallowtail.app.core.tables.tasks import Outbox, Task

log = structlog.get_logger(__name__)


class RunStart:
    """One worker's attempt to start the run of `attempt`.

    Args:
        settings: the frozen settings.
        task_id: the task that the wake-up names.
        attempt: the attempt that the wake-up is for.
        worker: the name that goes on the row.
        token: the run's own; made once, so that a repeated transaction recognises its own claim.
        kinds: those that this worker knows; None for all.
    """

    def __init__(
        self, settings: Settings, task_id: str, attempt: int, worker: str, token: str, kinds: Container[str] | None
    ) -> None:
        self._settings = settings
        self._task_id = task_id
        self._attempt = attempt
        self._worker = worker
        self._token = token
        self._kinds = kinds

    def claim(self, change: Change) -> Claim | None:
        """Claim the task. Returns None when the wake-up is stale, or the task waits for another worker.

        Raises what `describe` raises when the task cannot be read.
        """
        task = lock_task(change.session, self._task_id)
        if task is not None and task.token == self._token:
            return describe(change, task)
        if not self._may_begin(task, change):
            return None
        if self._kinds is not None and task.kind not in self._kinds and may_wait(change, task, self._settings):
            hold(change, task, self._settings, f"Waiting for a worker that knows the kind {task.kind!r}")
            return None
        self._take(change, task)
        return describe(change, task)

    def set_aside(self, change: Change, fault: Exception) -> None:
        """Deal with a task that cannot be read: it waits for a missing key, and fails when its data is damaged."""
        reason = fault.message if isinstance(fault, SwallowtailError) else type(fault).__name__
        log.error("task_unreadable", task_id=self._task_id, reason=reason)
        task = lock_task(change.session, self._task_id)
        if not self._may_begin(task, change):
            return
        if isinstance(fault, KeyMissing):
            # Another worker may have the key, and the operator may bring it back: nothing is lost by waiting.
            hold(change, task, self._settings, f"Waiting for a key: {reason}")
            return
        self._take(change, task)
        error = {"code": "unreadable", "message": f"What is stored of this task cannot be read: {reason}"}
        end_run(change, task, TaskStatus.FAILED, error)

    def _may_begin(self, task: Task | None, change: Change) -> TypeGuard[Task]:
        """Tell whether the wake-up is still good; a task that is too late expires here."""
        if task is None or task.attempt != self._attempt - 1 or TaskStatus(task.status) not in CLAIMABLE:
            return False
        if is_late(change, task):
            move(change, task, TaskStatus.EXPIRED)
            return False
        return True

    def _take(self, change: Change, task: Task) -> None:
        if task.status != TaskStatus.QUEUED.value:
            # The message overtook the relay's own mark.
            move(change, task, TaskStatus.QUEUED)
        percent = reached(change, task)
        # The attempt is part of the identity of this run's events, so it is raised before the move records one.
        change.session.execute(
            update(Task)
            .where(Task.id == task.id, Task.attempt == task.attempt)
            .values(attempt=Task.attempt + 1)
            .execution_options(synchronize_session=False)
        )
        reread(change.session, task)
        move(
            change,
            task,
            TaskStatus.IN_PROGRESS,
            token=self._token,
            worker=self._worker[:200],
            progress=percent,
            lease_until=db_now(self._settings.lease_seconds),
            started_at=task.started_at or change.now,
        )
        change.session.execute(delete(Outbox).where(Outbox.task_id == task.id))
