"""The only writer of task, step and event rows: what happens to a task from outside a run. (Inside: `core/ledger/runs`.)

Third stop on the road: `core/services/tasks` → here → `core/ledger/outbox`. Every method is one transaction: rows, wishes and
numbered events together, told to the world only after the commit. Calling a method twice has the effect of once.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from swallowtail.app.core.audit import writer
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database, db_now, db_now_once
from swallowtail.app.core.database.faults import is_transient
from swallowtail.app.core.errors import Conflict, NotFound
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.artifacts import part_input
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.ledger.instance_quota import count_creation
from swallowtail.app.core.ledger.metrics import measure_events
from swallowtail.app.core.ledger.new_task import NewTask, row_of
from swallowtail.app.core.ledger.transitions import (
    CANCELLED,
    clear_journal,
    close_open_steps,
    end_run,
    expire_unclaimed,
    lock_task,
    move,
    record_note,
    record_status,
    wish,
)
from swallowtail.app.core.security.permission_version import is_raised
from swallowtail.app.core.security.permissions import THE_SYSTEM, Act, Caller, Role
from swallowtail.app.core.states import CLAIMABLE, RETRYABLE, TERMINAL, TaskStatus
from swallowtail.app.core.tables.auth import Membership
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import IS_UNCLAIMED, Outbox, Task
from swallowtail.app.core.tables.unreadable import alone

__all__ = ["WORKER_LOST", "Announce", "Ledger", "NewTask"]

Announce = Callable[[Sequence[EventRecord]], None]
T = TypeVar("T")

WORKER_LOST = {"code": "worker_lost", "message": "The worker that ran this was lost"}


class Ledger:
    """Moves of tasks that no run makes: submission, queueing, cancels, retries, and what sweeps and signals find."""

    def __init__(self, db: Database, settings: Settings, announce: Announce) -> None:
        """`announce` is called with the committed events of each transaction, after its commit; it must not raise.

        Nor must `announce_access`, which is called when a transaction has changed who may see what.
        """
        self.db = db
        self.settings = settings
        self.announce = announce
        self.announce_access: Callable[[], object] = lambda: None
        #: Who asks for what this ledger does. What the system does by itself is not in the audit log.
        self.caller: Caller = THE_SYSTEM

    def by(self, caller: Caller) -> Ledger:
        """Return the same ledger, acting for somebody."""
        mine = copy.copy(self)
        mine.caller = caller
        return mine

    def commit(self, work: Callable[[Change], T]) -> tuple[T, list[EventRecord]]:
        """Run `work` in one transaction, number its facts last, and announce them after the commit.

        `work` is run again when the database was locked or away. When nobody knows whether a commit happened, the log
        tells: what it tells is not done again.

        Raises:
            Unavailable: the database stayed away for `database_wait`.
        """
        tries: list[tuple[Change, T, list[EventRecord]]] = []

        def transact(session: Any) -> tuple[T, list[EventRecord]]:
            for earlier, outcome, events in tries:
                if earlier.is_stored_by(session, events):
                    return outcome, events
            change = Change(session)
            outcome = work(change)
            if change.deeds and self.caller.actor.kind != "system":
                writer.append(session, self.caller, change.deeds, change.now)
            events = change.number()
            tries.append((change, outcome, events))
            return outcome, events

        outcome, events = self.db.run(transact)
        if events:
            measure_events(events)
            self.announce(events)
        if is_raised(tries[-1][0].session):
            self.announce_access()
        return outcome, events

    def submit(self, new: NewTask) -> tuple[Task, list[EventRecord], bool]:
        """Store a task with its wish to run. The last answer tells whether it is new.

        Raises:
            NotFound: there is no such instance.
            Conflict: the idempotency key was used for something else.
        """
        (task, created), events = self.commit(lambda change: self.add_task(change, new))
        return task, events, created

    def add_task(self, change: Change, new: NewTask) -> tuple[Task, bool]:
        """Store a task inside a transaction that does more, such as firing a slot."""
        if read_head(change.session, new.instance_id) is None:
            raise NotFound("there is no such instance", field="instance_id")
        known = self._find_known(change, new)
        if known is not None:
            return known, False
        try:
            with change.session.begin_nested():
                task = row_of(new, change.now)
                apart = part_input(change, self.settings, task, new.told)
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
        wish(change, task)
        record_status(change, task, None)
        change.note_deed(task.instance_id, Act.SUBMIT, "task", task.id, {"kind": task.kind, "title": task.title})
        return task, True

    def _find_known(self, change: Change, new: NewTask) -> Task | None:
        same = Task.id == new.id
        if new.idempotency_key is not None:
            same |= (Task.instance_id == new.instance_id) & (Task.idempotency_key == new.idempotency_key)
        known = change.session.scalars(select(Task).where(same)).one_or_none()
        if known is not None and known.fingerprint != new.fingerprint:
            raise Conflict("this key was used for another submission", field="Idempotency-Key")
        return known

    def mark_queued(self, task_id: str, attempt: int, doubt_after: float) -> None:
        """Say that the wake-up for `attempt` has been handed to the broker; doubt it after so many seconds."""

        def work(change: Change) -> None:
            task = lock_task(change.session, task_id)
            if task is None or task.attempt != attempt - 1 or TaskStatus(task.status) not in CLAIMABLE:
                return
            wished = change.session.execute(
                update(Outbox)
                .where(Outbox.task_id == task_id, Outbox.attempt == attempt)
                .values(sends=Outbox.sends + 1, sent_at=db_now(), available_at=db_now(doubt_after))
                .returning(Outbox.task_id)
                .execution_options(synchronize_session=False)
            ).one_or_none()
            if wished is not None and task.status != TaskStatus.QUEUED.value:
                move(change, task, TaskStatus.QUEUED)

        self.commit(work)

    def request_cancel(self, task_id: str) -> tuple[Task, list[EventRecord]]:
        """Cancel at once what has not started; ask a run to stop. Asking again changes nothing.

        Raises:
            NotFound: there is no such task.
            Conflict: the task has already ended in another way.
        """

        def work(change: Change) -> Task:
            task = _existing(change, task_id)
            status = TaskStatus(task.status)
            if status in TERMINAL and status is not TaskStatus.CANCELLED:
                raise Conflict(f"the task is already {status}", field="status")
            if status is TaskStatus.CANCELLED or task.cancel_requested_at is not None:
                return task
            change.note_deed(task.instance_id, Act.CANCEL, "task", task.id)
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

        return self.commit(work)

    def retry(self, task_id: str, from_step: str | None = None) -> tuple[Task, list[EventRecord]]:
        """Give an ended task another attempt that keeps its finished steps, up to `from_step` when that is given.

        Raises:
            NotFound: there is no such task.
            InvalidInput: the task has no such step.
            Conflict: the task has not ended, or has completed.
        """

        def work(change: Change) -> Task:
            task = _existing(change, task_id)
            if TaskStatus(task.status) not in RETRYABLE:
                raise Conflict(f"a task that is {task.status} cannot be retried", field="status")
            change.note_deed(task.instance_id, Act.RETRY, "task", task.id, {"from_step": from_step})
            clear_journal(change, task, from_step)
            move(
                change,
                task,
                TaskStatus.RETRYING,
                message="Retry requested",
                retries=task.retries + 1,
                losses=0,
                failures=0,
                cancel_requested_at=None,
                finished_at=None,
                expires_at=None,
            )
            wish(change, task)
            return task

        return self.commit(work)

    def propose_lost(
        self, task_id: str, attempt: int, error: dict[str, Any], *, if_still: datetime | None = None
    ) -> None:
        """Somebody says that the run of `attempt` is dead: give the task its next attempt, or its end.

        `if_still` makes it depend on the lease being the one that was seen.
        """

        def work(change: Change) -> None:
            task = self._running(change, task_id, attempt)
            if task is None or (if_still is not None and task.lease_until != if_still):
                return
            close_open_steps(change, task, error)
            if task.cancel_requested_at is not None:
                move(change, task, TaskStatus.CANCELLED)
            elif task.losses + 1 > self.settings.max_losses:
                move(change, task, TaskStatus.FAILED, message=error["message"], error=error)
            else:
                self._retry_lost(change, task, error)

        self.commit(work)

    def _retry_lost(self, change: Change, task: Task, error: dict[str, Any]) -> None:
        losses = task.losses + 1
        # The first loss is most likely a deployment; only a task that keeps killing its worker is slowed down.
        delay = 0.0 if losses == 1 else min(self.settings.backoff_base * 2.0**losses, self.settings.backoff_max)
        values = {"losses": losses, "token": None, "lease_until": None}
        move(change, task, TaskStatus.RETRYING, message=error["message"], error=error, **values)
        wish(change, task, delay)

    def propose_failed(self, task_id: str, attempt: int, error: dict[str, Any]) -> None:
        """Somebody says that the run of `attempt` was ended for good, such as by its hard time limit."""

        def work(change: Change) -> None:
            task = self._running(change, task_id, attempt)
            if task is not None:
                end_run(change, task, TaskStatus.FAILED, error)

        self.commit(work)

    def propose_cancelled(self, task_id: str, attempt: int) -> None:
        """Somebody revoked the message of `attempt`: the task ends, whether or not it was started."""

        def work(change: Change) -> None:
            task = lock_task(change.session, task_id)
            if task is None or TaskStatus(task.status) in TERMINAL or task.attempt not in (attempt - 1, attempt):
                return
            task.cancel_requested_at = task.cancel_requested_at or change.now
            change.session.flush()
            close_open_steps(change, task, CANCELLED)
            move(change, task, TaskStatus.CANCELLED)

        self.commit(work)

    def propose_unheard(self, task_id: str, attempt: int) -> None:
        """Somebody says that the wake-up for `attempt` was thrown away: doubt it now instead of later."""

        def work(change: Change) -> None:
            change.session.execute(
                update(Outbox)
                .where(Outbox.task_id == task_id, Outbox.attempt == attempt)
                .values(available_at=db_now(self.settings.backoff_base))
                .execution_options(synchronize_session=False)
            )

        self.commit(work)

    def expire(self, limit: int = 100) -> int:
        """End tasks that nobody claimed before their `expires_at`. Returns how many it looked at."""
        query = select(Task.id).where(IS_UNCLAIMED, Task.expires_at < db_now_once())
        with self.db.read() as session:
            late = session.scalars(query.limit(limit)).all()
        for task_id in late:
            alone(task_id, partial(self.commit, partial(expire_unclaimed, task_id=task_id)))
        return len(late)

    def create_instance(self, name: str, instance_id: str) -> Instance:
        """Create a workspace with an empty log; a user who does becomes its owner.

        Raises:
            Conflict: the id is taken.
            Forbidden, TooMany: see `count_creation`.
        """
        epoch = uuid.uuid4().hex[:16]

        def work(change: Change) -> Instance:
            known = change.session.get(Instance, instance_id)
            if known is not None and known.epoch == epoch:
                return known
            if known is not None:
                raise Conflict("this id is taken", field="id")
            row = Instance(id=instance_id, name=name, epoch=epoch, seq=0, min_seq=0)
            row.created_at = change.now
            row.created_by = count_creation(change.session, self.caller.actor, self.settings.max_user_instances)
            change.session.add(row)
            change.session.flush()
            change.note_deed(instance_id, Act.CREATE_INSTANCE, "instance", instance_id, {"name": name})
            if row.created_by is not None:
                member = Membership(instance_id=instance_id, user_id=row.created_by, role=Role.OWNER.value)
                member.created_at = change.now
                change.session.add(member)
            return row

        try:
            return self.commit(work)[0]
        except DBAPIError as fault:
            if isinstance(fault, IntegrityError) and not is_transient(fault):
                raise Conflict("this id is taken", field="id") from None
            raise

    def _running(self, change: Change, task_id: str, attempt: int) -> Task | None:
        task = lock_task(change.session, task_id)
        if task is None or task.status != TaskStatus.IN_PROGRESS.value or task.attempt != attempt:
            return None
        return task


def _existing(change: Change, task_id: str) -> Task:
    task = lock_task(change.session, task_id)
    if task is None:
        raise NotFound("there is no such task", field="task_id")
    return task
