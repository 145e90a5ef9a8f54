"""Stop 8 of 12: Writes a run's claim, heartbeats, steps and end, fenced by a token.

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
from swallowtail.app.core.ledger.artifacts import store_output
from swallowtail.app.core.ledger.claims import Claim, RunStart
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.step_rows import clamp, close_step, find_started, open_step, raise_progress
from swallowtail.app.core.ledger.transitions import (
    CANCELLED,
    end_run,
    enqueue,
    lock_task,
    record_note,
    record_step,
    redact_error,
    redact_message,
)
from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.states import StepStatus, TaskStatus
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.core.tables.unreadable import is_unreadable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The result of a heartbeat. Not `alive`: the task has ended, or another run has it."""

    alive: bool
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class StepWrite:
    """The result of writing a step: the number of its event, and whether the run must stop."""

    step_id: str
    seq: int
    tries: int
    cancel_requested: bool
    #: Epoch of the log that `seq` refers to; empty if nothing was written.
    epoch: str = ""


class RunWriter:
    """Claims and fenced writes of the runs of one process."""

    def __init__(self, unit: UnitOfWork, settings: Settings, *, wait: float | None = None) -> None:
        """`wait` is how many seconds a write waits for the database; `database_wait` when None."""
        self._unit = unit
        self._settings = settings
        self._wait = wait

    def claim(self, task_id: str, attempt: int, worker: str, kinds: Container[str] | None = None) -> Claim | None:
        """Claim a task for its `attempt`; return None if this wake-up is stale, repeated or too late.

        A task that cannot be read is postponed or fails. A task of another kind than `kinds` is postponed for up to
        `kind_patience` seconds; after that it is claimed, so that its run can report the failure.
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
        self._commit(partial(start.handle_unreadable, fault=reason))
        return None

    def heartbeat(self, claim: Claim, progress: float, message: str) -> LeaseState:
        """Extend the lease and store the live progress for later snapshots."""
        percent = clamp(progress)

        def work(change: Change) -> LeaseState:
            row = change.session.execute(
                update(Task)
                .where(*_is_held(claim))
                .values(
                    lease_until=db_now(self._settings.lease_seconds),
                    progress=case((Task.progress < percent, percent), else_=Task.progress),
                    message=redact_message(message, claim.rules) or Task.message,
                )
                .returning(Task.cancel_requested_at)
                .execution_options(synchronize_session=False)
            ).one_or_none()
            return LeaseState(row is not None, row is not None and row.cancel_requested_at is not None)

        return self._commit(work)[0]

    def start_step(self, claim: Claim, key: str, agent: str, action: str) -> StepWrite:
        """Open a step; the same step of an earlier attempt is opened again under the same id.

        Raises LeaseLost, CancelRequested, or Conflict if this run has already performed the step.
        """

        def work(change: Change) -> StepWrite:
            task = _lock_claimed(change, claim)
            if task.cancel_requested_at is not None:
                raise CancelRequested
            step = open_step(change, task, key, agent, action)
            task.lease_until = db_now(self._settings.lease_seconds)
            record_step(change, task, step, fact="start")
            return _describe(task, step)

        return self._write_step(work)

    def finish_step(
        self, claim: Claim, key: str, output: Any, *, progress: float | None = None, message: str | None = None
    ) -> StepWrite:
        """Save a step's output, its event and the lease in one transaction.

        `progress` is the percent of the task that is now done. With it or a `message`, a `task_update` carries both.
        Raises LeaseLost, or Conflict if this run has not started the step, or has recorded that it failed.
        """

        def work(change: Change) -> StepWrite:
            task = _lock_claimed(change, claim)
            step = find_started(change, claim, key)
            if step.status == StepStatus.FAILED.value:
                raise Conflict(f"step {key!r} has already failed in this run", field="key")
            if step.status == StepStatus.IN_PROGRESS.value:
                percent = None if progress is None else clamp(progress)
                step.message = None if message is None else redact_message(message, rules_of(change.session, task))
                close_step(change, self._settings, task, step, StepStatus.COMPLETED, output, percent)
                raise_progress(change, task, percent, message)
                record_step(change, task, step, fact="end")
                if progress is not None or message is not None:
                    record_note(change, task, fact=f"progress:{key}")
            return _describe(task, step)

        return self._write_step(work)

    def skip_step(self, claim: Claim, key: str, agent: str, action: str, reason: str) -> StepWrite:
        """Record that a step is not needed. Raises LeaseLost, or Conflict if this run has performed the step."""

        def work(change: Change) -> StepWrite:
            task = _lock_claimed(change, claim)
            step = change.session.get(Step, step_id(task.id, key))
            if step is None or (step.attempt, step.status) != (task.attempt, StepStatus.SKIPPED.value):
                step = open_step(change, task, key, agent, action)
                close_step(change, self._settings, task, step, StepStatus.SKIPPED, {"reason": reason})
                record_step(change, task, step, fact="end")
            return _describe(task, step)

        return self._write_step(work)

    def fail_step(self, claim: Claim, key: str, error: dict[str, Any]) -> StepWrite:
        """Record that a try of a step failed; `retry_later` or `fail` then moves the task. Raises LeaseLost."""

        def work(change: Change) -> StepWrite:
            task = _lock_claimed(change, claim)
            step = find_started(change, claim, key)
            if step.status == StepStatus.IN_PROGRESS.value:
                redacted_error = redact_error(error, rules_of(change.session, task))
                step.status, step.error, step.completed_at = StepStatus.FAILED.value, redacted_error, change.now
                step.failures += 1
                change.session.flush()
                record_step(change, task, step, fact="end")
            return _describe(task, step)

        return self._write_step(work)

    def complete(self, claim: Claim, result: Any) -> TaskStatus:
        """End the task with a result, or as CANCELLED if that was requested before. Returns its status."""

        def work(change: Change) -> TaskStatus:
            task = _lock_claimed(change, claim)
            if task.cancel_requested_at is not None:
                return end_run(change, task, TaskStatus.COMPLETED, None)
            stored_result, artifact_id, shown = store_output(change, self._settings, task, result)
            values = {"result": stored_result, "artifact_id": artifact_id, "shown": shown, "progress": 100.0}
            return end_run(change, task, TaskStatus.COMPLETED, None, **values)

        return self._commit(work)[0]

    def fail(self, claim: Claim, error: dict[str, Any]) -> TaskStatus:
        """End the task with an error, or as CANCELLED if that was requested before. Returns its status."""
        return self._commit(partial(_end, claim=claim, after=TaskStatus.FAILED, error=error))[0]

    def cancelled(self, claim: Claim) -> TaskStatus:
        """End the task as cancelled. Returns its status."""
        return self._commit(partial(_end, claim=claim, after=TaskStatus.CANCELLED, error=CANCELLED))[0]

    def retry_later(
        self, claim: Claim, error: dict[str, Any], delay: float, *, outside_steps: bool = False
    ) -> TaskStatus:
        """Start the next attempt after `delay` seconds, or end the task as CANCELLED if that was requested before.

        `outside_steps`: the error happened outside of any step and counts as a failure of the task.
        """

        def work(change: Change) -> TaskStatus:
            task = _lock_claimed(change, claim)
            values = {"token": None, "lease_until": None, "failures": task.failures + outside_steps}
            status = end_run(change, task, TaskStatus.RETRYING, error, **values)
            if status is TaskStatus.RETRYING:
                enqueue(change, task, delay)
            return status

        return self._commit(work)[0]

    def _commit(self, work: Callable[[Change], T]) -> tuple[T, list[EventRecord]]:
        return self._unit.commit(work, wait=self._wait)

    def _write_step(self, work: Callable[[Change], StepWrite]) -> StepWrite:
        write, events = self._commit(work)
        return replace(write, seq=events[-1].seq, epoch=events[-1].epoch) if events else write


def _is_held(claim: Claim) -> tuple[Any, ...]:
    return Task.id == claim.task_id, Task.token == claim.token, Task.status == TaskStatus.IN_PROGRESS.value


def _lock_claimed(change: Change, claim: Claim) -> Task:
    task = lock_task(change.session, claim.task_id)
    if task is None or task.token != claim.token or task.status != TaskStatus.IN_PROGRESS.value:
        raise LeaseLost
    return task


def _end(change: Change, claim: Claim, after: TaskStatus, error: dict[str, Any]) -> TaskStatus:
    return end_run(change, _lock_claimed(change, claim), after, error)


def _describe(task: Task, step: Step) -> StepWrite:
    return StepWrite(step.id, task.last_seq, step.tries, task.cancel_requested_at is not None)
