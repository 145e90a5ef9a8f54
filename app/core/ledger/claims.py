"""Claims a queued task for one attempt inside a transaction, or postpones it, and reads what its run needs."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import structlog
from sqlalchemy import delete, func, select, update

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.artifacts import read_output
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.transitions import end_run, lock_task, may_postpone, move, postpone
from swallowtail.app.core.payload_redaction.rules import rules_of, whole_input
from swallowtail.app.core.privacy.keyring import KeyMissing
from swallowtail.app.core.privacy.redaction_rules import PATTERNS_ONLY, Rules
from swallowtail.app.core.states import CLAIMABLE, TaskStatus
from swallowtail.app.core.tables.column_encryption import cell_of
from swallowtail.app.core.tables.tasks import Outbox, Step, Task
from swallowtail.app.core.tables.unreadable import require_readable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SavedStep:
    """A finished step with its output; `status` is completed or skipped."""

    key: str
    status: str
    output: Any


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's claim of a task. `progress` is that of the finished steps; `saved` is keyed by step key."""

    task_id: str
    instance_id: str
    kind: str
    input: Any
    attempt: int
    token: str
    progress: float
    base_seq: int
    #: Errors of the agent outside of any step in earlier attempts.
    failures: int = 0
    saved: dict[str, SavedStep] = field(default_factory=dict)
    #: Epoch of the log that `base_seq` refers to.
    epoch: str = ""
    #: Redaction rules of the task, for live progress and text.
    rules: Rules = PATTERNS_ONLY


@dataclass(frozen=True, slots=True)
class RunStart:
    """Starts the run of one attempt for one worker.

    `token` is made once, so that a repeated transaction recognises its own claim. `kinds` are those that the worker
    knows; None for all.
    """

    settings: Settings
    task_id: str
    attempt: int
    worker: str
    token: str
    kinds: Container[str] | None

    def claim(self, change: Change) -> Claim | None:
        """Claim the task; None if the wake-up is stale or the task was postponed. Raises as `_make_claim` does."""
        task = lock_task(change.session, self.task_id)
        if task is not None and task.token == self.token:
            return _make_claim(change, task)
        if not self._may_begin(task, change):
            return None
        if self.kinds is not None and task.kind not in self.kinds and may_postpone(change, task, self.settings):
            postpone(change, task, self.settings, f"Waiting for a worker that knows the kind {task.kind!r}")
            return None
        self._start(change, task)
        return _make_claim(change, task)

    def handle_unreadable(self, change: Change, fault: Exception) -> None:
        """Postpone a task if a key is missing here, and fail it if its data is damaged."""
        reason = fault.message if isinstance(fault, SwallowtailError) else type(fault).__name__
        log.error("task_unreadable", task_id=self.task_id, reason=reason)
        task = lock_task(change.session, self.task_id)
        if not self._may_begin(task, change):
            return
        if isinstance(fault, KeyMissing):
            # Another worker may have the key, and the operator may restore it.
            postpone(change, task, self.settings, f"Waiting for a key: {reason}")
            return
        self._start(change, task)
        error = {"code": "unreadable", "message": f"What is stored of this task cannot be read: {reason}"}
        end_run(change, task, TaskStatus.FAILED, error)

    def _may_begin(self, task: Task | None, change: Change) -> TypeGuard[Task]:
        """Return whether the wake-up is still valid; a task that is too late becomes EXPIRED."""
        if task is None or task.attempt != self.attempt - 1 or TaskStatus(task.status) not in CLAIMABLE:
            return False
        if task.attempt > 0 or task.expires_at is None:
            return True
        if task.expires_at >= change.session.scalars(select(db_now())).one():
            return True
        move(change, task, TaskStatus.EXPIRED)
        return False

    def _start(self, change: Change, task: Task) -> None:
        if task.status != TaskStatus.QUEUED.value:
            # The message arrived before the relay marked the task as queued.
            move(change, task, TaskStatus.QUEUED)
        percent = select(func.max(Step.progress)).where(Step.task_id == task.id, Step.saved.is_(True))
        # The ids of the run's events contain the attempt, so it is raised before the move records one.
        change.session.execute(
            update(Task)
            .where(Task.id == task.id, Task.attempt == task.attempt)
            .values(attempt=Task.attempt + 1)
            .execution_options(synchronize_session=False)
        )
        change.session.refresh(task)
        move(
            change,
            task,
            TaskStatus.IN_PROGRESS,
            token=self.token,
            worker=self.worker[:200],
            progress=change.session.scalar(percent) or 0.0,
            lease_until=db_now(self.settings.lease_seconds),
            started_at=task.started_at or change.now,
        )
        change.session.execute(delete(Outbox).where(Outbox.task_id == task.id))


def _make_claim(change: Change, task: Task) -> Claim:
    """Return the claim of a task that was just claimed. Raises Unreadable, KeyMissing, Tampered."""
    payload = require_readable(whole_input(change.session, task), cell_of(Task, task.id, "input"))
    steps = change.session.scalars(select(Step).where(Step.task_id == task.id, Step.saved.is_(True))).all()
    outputs = {
        step.id: require_readable(read_output(change.session, step), cell_of(Step, step.id, "output")) for step in steps
    }
    return Claim(
        task_id=task.id,
        instance_id=task.instance_id,
        kind=task.kind,
        input=payload,
        attempt=task.attempt,
        token=task.token or "",
        progress=task.progress,
        base_seq=task.last_seq,
        failures=task.failures,
        saved={step.key: SavedStep(step.key, step.status, outputs[step.id]) for step in steps},
        rules=rules_of(change.session, task),
    )
