"""Stop 8 of 12: Writes what a run does to its own task: claim, heartbeats, steps and end, fenced by a token.

A run whose token is no longer on the row gets `LeaseLost` from its next write, which changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import case, update

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import CancelRequested, Conflict, LeaseLost
from swallowtail.app.core.events import EventRecord, step_id
from swallowtail.app.core.ledger.artifacts import keep
from swallowtail.app.core.ledger.claims import Claim, SavedStep
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.run_start import RunStart
from swallowtail.app.core.ledger.step_rows import clamp, close_step, find_started, open_step, raise_progress
from swallowtail.app.core.ledger.transitions import (
    CANCELLED,
    end_run,
    enqueue,
    hide,
    lock_task,
    record_note,
    record_step,
    say,
)
from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.states import StepStatus, TaskStatus
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.core.tables.unreadable import is_unreadable

__all__ = ["Beat", "Claim", "RunWriter", "SavedStep", "Wrote", "clamp"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Beat:
    """The result of a heartbeat. Not `alive`: the task has ended, or another run has it."""

    alive: bool
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Wrote:
    """The result of writing a step: its number in the log, and whether the run is to stop."""

    step_id: str
    seq: int
    tries: int
    cancel_requested: bool
    #: That of the log in which `seq` is a number; empty where nothing was written.
    epoch: str = ""


class RunWriter:
    """Claims and fenced writes of the runs of one process."""

    def __init__(self, unit: UnitOfWork, settings: Settings, *, wait: float | None = None) -> None:
        """`wait` is how many seconds a write waits for the database; `database_wait` when None."""
        self._unit = unit
        self._settings = settings
        self._wait = wait

    def claim(self, task_id: str, attempt: int, worker: str, kinds: Container[str] | None = None) -> Claim | None:
        """Claim a task for its `attempt`, or return None when this wake-up is stale, repeated or too late.

        A task that cannot be read is set aside, and None returned: it waits where only a key is missing here, and
        fails where its data is damaged. A task whose kind is not in `kinds` is given back for other workers for up to
        `kind_patience` seconds; after that it is claimed, so that its run can report why it fails.
        """
        start = RunStart(self._settings, task_id, attempt, worker, str(uuid.uuid4()), kinds)
        try:
            claim, events = self._commit(start.claim)
        except Exception as fault:
            if not is_unreadable(fault):
                raise
            reason = fault
        else:
            return replace(claim, base_seq=events[-1].seq, epoch=events[-1].epoch) if claim and events else claim
        self._commit(partial(start.set_aside, fault=reason))
        return None

    def heartbeat(self, claim: Claim, progress: float, message: str) -> Beat:
        """Extend the lease and leave the live progress on the row, so that a later snapshot has it."""
        percent = clamp(progress)

        def work(change: Change) -> Beat:
            row = change.session.execute(
                update(Task)
                .where(*_held(claim))
                .values(
                    lease_until=db_now(self._settings.lease_seconds),
                    progress=case((Task.progress < percent, percent), else_=Task.progress),
                    message=say(message, claim.rules) or Task.message,
                )
                .returning(Task.cancel_requested_at)
                .execution_options(synchronize_session=False)
            ).one_or_none()
            return Beat(row is not None, row is not None and row.cancel_requested_at is not None)

        return self._commit(work)[0]

    def start_step(self, claim: Claim, key: str, agent: str, action: str) -> Wrote:
        """Open a step; the same step of an earlier attempt is opened again under the same id.

        Raises:
            LeaseLost: the task is not ours any more.
            CancelRequested: the run is to stop; nothing was opened.
            Conflict: this run has already started a step of this key.
        """

        def work(change: Change) -> Wrote:
            task = _hold(change, claim)
            if task.cancel_requested_at is not None:
                raise CancelRequested
            step = open_step(change, task, key, agent, action)
            task.lease_until = db_now(self._settings.lease_seconds)
            record_step(change, task, step, fact="start")
            return _wrote(task, step)

        return self._wrote(work)

    def finish_step(
        self, claim: Claim, key: str, output: Any, *, progress: float | None = None, message: str | None = None
    ) -> Wrote:
        """Save a step's output, its event and the lease in one transaction.

        `progress` is the percent of the task that is now done, `message` stays with the step; where one is given, a
        `task_update` of its own carries both.

        Raises:
            LeaseLost: the task is not ours any more; the output was not saved.
            Conflict: this run has not started the step, or has recorded that it failed.
        """

        def work(change: Change) -> Wrote:
            task = _hold(change, claim)
            step = find_started(change, claim, key)
            if step.status == StepStatus.FAILED.value:
                raise Conflict(f"step {key!r} has already failed in this run", field="key")
            if step.status == StepStatus.IN_PROGRESS.value:
                percent = None if progress is None else clamp(progress)
                step.message = None if message is None else say(message, rules_of(change.session, task))
                close_step(change, self._settings, task, step, StepStatus.COMPLETED, output, percent)
                raise_progress(change, task, percent, message)
                record_step(change, task, step, fact="end")
                if progress is not None or message is not None:
                    record_note(change, task, fact=f"progress:{key}")
            return _wrote(task, step)

        return self._wrote(work)

    def skip_step(self, claim: Claim, key: str, agent: str, action: str, reason: str) -> Wrote:
        """Record that a step is not needed; the journal remembers it.

        Raises:
            LeaseLost: the task is not ours any more.
            Conflict: this run has already performed a step of this key.
        """

        def work(change: Change) -> Wrote:
            task = _hold(change, claim)
            step = change.session.get(Step, step_id(task.id, key))
            if step is None or (step.attempt, step.status) != (task.attempt, StepStatus.SKIPPED.value):
                step = open_step(change, task, key, agent, action)
                close_step(change, self._settings, task, step, StepStatus.SKIPPED, {"reason": reason})
                record_step(change, task, step, fact="end")
            return _wrote(task, step)

        return self._wrote(work)

    def fail_step(self, claim: Claim, key: str, error: dict[str, Any]) -> Wrote:
        """Record that a step's try failed. What becomes of the task is a second call, in `retry_later` or `fail`.

        Raises:
            LeaseLost: the task is not ours any more.
        """

        def work(change: Change) -> Wrote:
            task = _hold(change, claim)
            step = find_started(change, claim, key)
            if step.status == StepStatus.IN_PROGRESS.value:
                shown = hide(error, rules_of(change.session, task))
                step.status, step.error, step.completed_at = StepStatus.FAILED.value, shown, change.now
                step.failures += 1
                change.session.flush()
                record_step(change, task, step, fact="end")
            return _wrote(task, step)

        return self._wrote(work)

    def complete(self, claim: Claim, result: Any) -> TaskStatus:
        """End the task with a result, unless a cancel was requested first. Returns what it became."""

        def work(change: Change) -> TaskStatus:
            task = _hold(change, claim)
            if task.cancel_requested_at is not None:
                return end_run(change, task, TaskStatus.COMPLETED, None)
            kept, artifact_id, shown = keep(change, self._settings, task, result)
            values = {"result": kept, "artifact_id": artifact_id, "shown": shown, "progress": 100.0}
            return end_run(change, task, TaskStatus.COMPLETED, None, **values)

        return self._commit(work)[0]

    def fail(self, claim: Claim, error: dict[str, Any]) -> TaskStatus:
        """End the task with an error, unless a cancel was requested first. Returns what it became."""
        return self._end(claim, TaskStatus.FAILED, error)

    def cancelled(self, claim: Claim) -> TaskStatus:
        """End the task as cancelled. Returns what it became."""
        return self._end(claim, TaskStatus.CANCELLED, CANCELLED)

    def retry_later(
        self, claim: Claim, error: dict[str, Any], delay: float, *, outside_steps: bool = False
    ) -> TaskStatus:
        """Give the task its next attempt after `delay` seconds, unless a cancel was requested first.

        `outside_steps` says that the error was the agent's own, and of no step: it is counted on the task.
        """

        def work(change: Change) -> TaskStatus:
            task = _hold(change, claim)
            values = {"token": None, "lease_until": None, "failures": task.failures + outside_steps}
            became = end_run(change, task, TaskStatus.RETRYING, error, **values)
            if became is TaskStatus.RETRYING:
                enqueue(change, task, delay)
            return became

        return self._commit(work)[0]

    def _end(self, claim: Claim, after: TaskStatus, error: dict[str, Any] | None, **values: Any) -> TaskStatus:
        return self._commit(lambda change: end_run(change, _hold(change, claim), after, error, **values))[0]

    def _commit(self, work: Callable[[Change], T]) -> tuple[T, list[EventRecord]]:
        return self._unit.commit(work, wait=self._wait)

    def _wrote(self, work: Callable[[Change], Wrote]) -> Wrote:
        wrote, events = self._commit(work)
        return replace(wrote, seq=events[-1].seq, epoch=events[-1].epoch) if events else wrote


def _held(claim: Claim) -> tuple[Any, ...]:
    return Task.id == claim.task_id, Task.token == claim.token, Task.status == TaskStatus.IN_PROGRESS.value


def _hold(change: Change, claim: Claim) -> Task:
    task = lock_task(change.session, claim.task_id)
    if task is None or task.token != claim.token or task.status != TaskStatus.IN_PROGRESS.value:
        raise LeaseLost
    return task


def _wrote(task: Task, step: Step) -> Wrote:
    return Wrote(step.id, task.last_seq, step.tries, task.cancel_requested_at is not None)
