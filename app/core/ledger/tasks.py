"""Stop 3 of 12: Writes what happens to tasks outside their runs: submission, queueing, cancels, retries, expiry.

Every method is one transaction, or takes part in one: rows, outbox entries and numbered events are stored together.
Calling a method twice has the effect of once. What a run writes about its own task is in `core/ledger/runs`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now, db_now_once
from swallowtail.app.core.errors import Conflict, NotFound
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.artifacts import separate_input
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.ledger.new_task import CheckedTask, row_of
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
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.states import CLAIMABLE, RETRYABLE, TERMINAL, TaskStatus
from swallowtail.app.core.tables.tasks import IS_UNCLAIMED, Outbox, Task
from swallowtail.app.core.tables.unreadable import alone

__all__ = ["CheckedTask", "TaskWriter"]


class TaskWriter:
    """Writes task rows for one process. Methods that take a `Change` take part in its transaction."""

    def __init__(self, unit: UnitOfWork, settings: Settings) -> None:
        self._unit = unit
        self._settings = settings

    def submit(self, new: CheckedTask) -> tuple[Task, list[EventRecord], bool]:
        """Store a task in a transaction of its own; see `add_task`. The last item says whether it is new."""
        (task, created), events = self._unit.commit(lambda change: self.add_task(change, new))
        return task, events, created

    def request_cancel(self, task_id: str) -> tuple[Task, list[EventRecord]]:
        """Cancel a task in a transaction of its own; see `cancel_task`."""
        return self._unit.commit(lambda change: self.cancel_task(change, task_id))

    def retry(self, task_id: str, from_step: str | None = None) -> tuple[Task, list[EventRecord]]:
        """Retry a task in a transaction of its own; see `retry_task`."""
        return self._unit.commit(lambda change: self.retry_task(change, task_id, from_step))

    def add_task(self, change: Change, new: CheckedTask) -> tuple[Task, bool]:
        """Store a task and the outbox entry of its first attempt; return it and whether it is new.

        Raises:
            NotFound: there is no such instance.
            Conflict: the idempotency key was used for another submission.
        """
        if read_head(change.session, new.instance_id) is None:
            raise NotFound("there is no such instance", field="instance_id")
        known = self._find_known(change, new)
        if known is not None:
            return known, False
        try:
            with change.session.begin_nested():
                task = row_of(new, change.now)
                apart = separate_input(change, self._settings, task, new.shown_input)
                change.session.add(task)
                change.session.flush()
                if apart is not None:
                    change.session.add(apart)
                    change.session.flush()
        except IntegrityError:
            known = self._find_known(change, new)
            if known is None:
                raise
            return known, False
        enqueue(change, task)
        record_status(change, task, None)
        change.audit(task.instance_id, Act.SUBMIT, "task", task.id, {"kind": task.kind, "title": task.title})
        return task, True

    def _find_known(self, change: Change, new: CheckedTask) -> Task | None:
        same = Task.id == new.id
        if new.idempotency_key is not None:
            same |= (Task.instance_id == new.instance_id) & (Task.idempotency_key == new.idempotency_key)
        known = change.session.scalars(select(Task).where(same)).one_or_none()
        if known is not None and known.fingerprint != new.fingerprint:
            raise Conflict("this key was used for another submission", field="Idempotency-Key")
        return known

    def cancel_task(self, change: Change, task_id: str) -> Task:
        """Cancel at once a task that has not started; ask a run to stop. A second request changes nothing.

        Raises:
            NotFound: there is no such task.
            Conflict: the task has already ended in another way.
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
        """Give an ended task another attempt, which keeps the finished steps (those before `from_step`, if given).

        Raises:
            NotFound: there is no such task.
            InvalidInput: the task has no such step.
            Conflict: the task has not ended, or has completed.
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

    def mark_queued(self, task_id: str, attempt: int, doubt_after: float) -> None:
        """Record that the broker has the wake-up of `attempt`; it is doubted after `doubt_after` seconds."""

        def work(change: Change) -> None:
            task = lock_task(change.session, task_id)
            if task is None or task.attempt != attempt - 1 or TaskStatus(task.status) not in CLAIMABLE:
                return
            entry = change.session.execute(
                update(Outbox)
                .where(Outbox.task_id == task_id, Outbox.attempt == attempt)
                .values(sends=Outbox.sends + 1, sent_at=db_now(), available_at=db_now(doubt_after))
                .returning(Outbox.task_id)
                .execution_options(synchronize_session=False)
            ).one_or_none()
            if entry is not None and task.status != TaskStatus.QUEUED.value:
                move(change, task, TaskStatus.QUEUED)

        self._unit.commit(work)

    def expire(self, limit: int = 100) -> int:
        """End tasks that no worker claimed before their `expires_at`. Returns how many it looked at."""
        query = select(Task.id).where(IS_UNCLAIMED, Task.expires_at < db_now_once())
        with self._unit.db.read() as session:
            late = session.scalars(query.limit(limit)).all()
        for task_id in late:
            alone(task_id, partial(self._unit.commit, partial(expire_unclaimed, task_id=task_id)))
        return len(late)


def _lock_existing(change: Change, task_id: str) -> Task:
    task = lock_task(change.session, task_id)
    if task is None:
        raise NotFound("there is no such task", field="task_id")
    return task
