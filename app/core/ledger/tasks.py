"""Stop 3 of 12: Writes the changes of tasks outside their runs: submission, queueing, cancels, retries, expiry.

Each method stores rows, outbox entries and numbered events in one transaction; a second call has no further effect.
`core/ledger/runs` writes the changes of a run.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now, db_now_once
from swallowtail.app.core.errors import Conflict, NotFound
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.agent_cards import AgentCard
from swallowtail.app.core.ledger.artifacts import RedactedInput, separate_input
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.ledger.transitions import (
    clear_journal,
    enqueue,
    expire_unclaimed,
    lock_task,
    move,
    record_note,
    record_status,
)
from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.states import CLAIMABLE, RETRYABLE, TERMINAL, TaskStatus
from swallowtail.app.core.tables.tasks import IS_UNCLAIMED, Outbox, Task
from swallowtail.app.core.tables.unreadable import isolate


@dataclass(frozen=True, slots=True)
class SubmissionBasis:
    """What a submission is checked against: the card of its agent, and the redaction rules of the agent's payloads."""

    card: AgentCard
    rules: Rules


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """A checked submission. Times are in UTC, limits in seconds; `redacted_input` is None if it is not computed yet."""

    instance_id: str
    kind: str
    title: str
    input: Any
    fingerprint: str
    submitted_by: str = "api"
    idempotency_key: str | None = None
    expires_at: datetime | None = None
    soft_time_limit: float | None = None
    hard_time_limit: float | None = None
    redacted_input: RedactedInput | None = field(default=None, repr=False)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


_SUBMITTED = [name for name in CheckedTask.__dataclass_fields__ if name != "redacted_input"]


class TaskWriter:
    """Writes task rows for one process, in transactions of its own or as part of a `Change`."""

    def __init__(self, unit: UnitOfWork, settings: Settings) -> None:
        self._unit = unit
        self._settings = settings

    def submit(self, new: CheckedTask) -> tuple[Task, list[EventRecord], bool]:
        """See `add_task`; the last item is whether the task is new."""
        (task, created), events = self._unit.commit(lambda change: self.add_task(change, new))
        return task, events, created

    def request_cancel(self, task_id: str) -> tuple[Task, list[EventRecord]]:
        """See `cancel_task`."""
        return self._unit.commit(lambda change: self.cancel_task(change, task_id))

    def retry(self, task_id: str, from_step: str | None = None) -> tuple[Task, list[EventRecord]]:
        """See `retry_task`."""
        return self._unit.commit(lambda change: self.retry_task(change, task_id, from_step))

    def add_task(self, change: Change, new: CheckedTask) -> tuple[Task, bool]:
        """Store a task and the outbox entry of its first attempt; return it and whether it is new.

        Raises NotFound, or Conflict if the idempotency key was used for another submission.
        """
        if read_head(change.session, new.instance_id) is None:
            raise NotFound("there is no such instance", field="instance_id")
        earlier = _find_known(change, new)
        if earlier is not None:
            return earlier, False
        try:
            with change.session.begin_nested():
                task = _make_row(new, change.now)
                artifact = separate_input(change, self._settings, task, new.redacted_input)
                change.session.add(task)
                change.session.flush()
                if artifact is not None:
                    change.session.add(artifact)
                    change.session.flush()
        except IntegrityError:
            earlier = _find_known(change, new)
            if earlier is None:
                raise
            return earlier, False
        enqueue(change, task)
        record_status(change, task, None)
        change.audit(task.instance_id, Act.SUBMIT, "task", task.id, {"kind": task.kind, "title": task.title})
        return task, True

    def cancel_task(self, change: Change, task_id: str) -> Task:
        """Cancel a task that has not started; request the cancellation of a run. A second request changes nothing.

        Raises NotFound, or Conflict if the task has already ended in another way.
        """
        task = _lock_existing(change, task_id)
        status = TaskStatus(task.status)
        if status in TERMINAL and status is not TaskStatus.CANCELLED:
            raise Conflict(f"the task is already {status}", field="status")
        if status is TaskStatus.CANCELLED or task.cancel_requested_at is not None:
            return task
        change.audit(task.instance_id, Act.CANCEL, "task", task.id)
        task.cancel_requested_at = change.now
        if status is not TaskStatus.IN_PROGRESS:
            change.session.flush()
            move(change, task, TaskStatus.CANCELLED)
            return task
        task.message = "Cancellation requested"
        task.updated_at = change.now
        change.session.flush()
        record_note(change, task, fact="cancel_requested", extra={"cancel_requested": True})
        return task

    def retry_task(self, change: Change, task_id: str, from_step: str | None = None) -> Task:
        """Start another attempt of an ended task; finished steps are kept, with `from_step` those before it.

        Raises NotFound, InvalidInput if there is no such step, or Conflict if the task has not ended or has completed.
        """
        task = _lock_existing(change, task_id)
        if TaskStatus(task.status) not in RETRYABLE:
            raise Conflict(f"a task that is {task.status} cannot be retried", field="status")
        change.audit(task.instance_id, Act.RETRY, "task", task.id, {"from_step": from_step})
        clear_journal(change, task, from_step)
        values: dict[str, Any] = {"retries": task.retries + 1, "losses": 0, "failures": 0}
        values |= dict.fromkeys(("cancel_requested_at", "finished_at", "expires_at"))
        move(change, task, TaskStatus.RETRYING, message="Retry requested", **values)
        enqueue(change, task)
        return task

    def mark_queued(self, task_id: str, attempt: int, due_after: float) -> None:
        """Record that the wake-up of `attempt` was sent; `due_after` seconds later it is due again."""

        def work(change: Change) -> None:
            task = lock_task(change.session, task_id)
            if task is None or task.attempt != attempt - 1 or TaskStatus(task.status) not in CLAIMABLE:
                return
            entry = change.session.execute(
                update(Outbox)
                .where(Outbox.task_id == task_id, Outbox.attempt == attempt)
                .values(sends=Outbox.sends + 1, sent_at=db_now(), available_at=db_now(due_after))
                .returning(Outbox.task_id)
                .execution_options(synchronize_session=False)
            ).one_or_none()
            if entry is not None and task.status != TaskStatus.QUEUED.value:
                move(change, task, TaskStatus.QUEUED)

        self._unit.commit(work)

    def expire(self, limit: int = 100) -> int:
        """End tasks that no worker claimed before their `expires_at`. Returns how many were late."""
        query = select(Task.id).where(IS_UNCLAIMED, Task.expires_at < db_now_once())
        with self._unit.db.read() as session:
            late = session.scalars(query.limit(limit)).all()
        for task_id in late:
            isolate(task_id, partial(self._unit.commit, partial(expire_unclaimed, task_id=task_id)))
        return len(late)


def _find_known(change: Change, new: CheckedTask) -> Task | None:
    same = Task.id == new.id
    if new.idempotency_key is not None:
        same |= (Task.instance_id == new.instance_id) & (Task.idempotency_key == new.idempotency_key)
    task = change.session.scalars(select(Task).where(same)).one_or_none()
    if task is not None and task.fingerprint != new.fingerprint:
        raise Conflict("this key was used for another submission", field="Idempotency-Key")
    return task


def _lock_existing(change: Change, task_id: str) -> Task:
    task = lock_task(change.session, task_id)
    if task is None:
        raise NotFound("there is no such task", field="task_id")
    return task


def _make_row(new: CheckedTask, moment: datetime) -> Task:
    """Return the row of a task that is submitted at `moment`."""
    row = Task(status=TaskStatus.SUBMITTED.value, message="Submitted", created_at=moment, updated_at=moment)
    row.progress = 0.0
    row.attempt = row.losses = row.failures = row.retries = row.last_seq = 0
    for name in _SUBMITTED:
        setattr(row, name, getattr(new, name))
    return row
