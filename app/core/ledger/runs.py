"""The ledger's other half: what a run writes about its own task, fenced by the token of its claim.

On the road: `workers/run_task` → `workers/run/context` → here → `workers/signals`. A run whose token is no longer on the
row learns it from `LeaseLost` at its next write, and has then changed nothing.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any, TypeGuard, TypeVar

import structlog
from sqlalchemy import case, delete, func, select, update

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import CancelRequested, Conflict, LeaseLost, SwallowtailError
from swallowtail.app.core.events import EventRecord, step_id
from swallowtail.app.core.ledger.artifacts import keep
from swallowtail.app.core.ledger.claims import Claim, SavedStep, describe, is_late, reached
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.transitions import (
    CANCELLED,
    end_run,
    enqueue,
    hide,
    hold,
    lock_task,
    may_wait,
    move,
    record_note,
    record_step,
    reread,
    say,
)
from swallowtail.app.core.ledger.unit_of_work import UnitOfWork
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.privacy.keyring import KeyMissing
from swallowtail.app.core.states import CLAIMABLE, StepStatus, TaskStatus
from swallowtail.app.core.tables.tasks import Outbox, Step, Task
from swallowtail.app.core.tables.unreadable import is_unreadable

__all__ = ["Beat", "Claim", "RunWriter", "SavedStep", "Wrote", "clamp"]


log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat. Not `alive`: somebody else has the task, or it has ended."""

    alive: bool
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Wrote:
    """The answer to a step's write: its number in the log, and whether the run is to stop."""

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
        self.lease = settings.lease_seconds

    def claim(self, task_id: str, attempt: int, worker: str, kinds: Container[str] | None = None) -> Claim | None:
        """Take a task for its `attempt`, or return None when this wake-up is stale, repeated or too late.

        A task that cannot be read is set aside, and None returned: it waits where only a key is missing here, and has
        failed where what is stored is damaged. One whose kind is not in `kinds` is given back for others, for as long
        as `kind_patience`; after that it is claimed, so that its run can say why it fails.
        """
        # Made once, so that a transaction whose commit got lost on the way back is recognised when it is run again.
        token = str(uuid.uuid4())

        def work(change: Change) -> Claim | None:
            task = lock_task(change.session, task_id)
            if task is not None and task.token == token:
                return describe(change, task)
            if not _may_begin(task, change, attempt):
                return None
            if kinds is not None and task.kind not in kinds and may_wait(change, task, self._settings):
                hold(change, task, self._settings, f"Waiting for a worker that knows the kind {task.kind!r}")
                return None
            self._take(change, task, token, worker)
            return describe(change, task)

        try:
            claim, events = self._commit(work)
        except Exception as fault:
            if not is_unreadable(fault):
                raise
            self._set_aside(task_id, attempt, token, worker, fault)
            return None
        return claim if claim is None or not events else replace(claim, base_seq=events[-1].seq, epoch=events[-1].epoch)

    def _set_aside(self, task_id: str, attempt: int, token: str, worker: str, fault: Exception) -> None:
        """Deal with a task that cannot be read, in a transaction that does not read it."""
        reason = fault.message if isinstance(fault, SwallowtailError) else type(fault).__name__
        log.error("task_unreadable", task_id=task_id, reason=reason)

        def work(change: Change) -> None:
            task = lock_task(change.session, task_id)
            if not _may_begin(task, change, attempt):
                return
            if isinstance(fault, KeyMissing):
                # Another worker may have the key, and the operator may bring it back: nothing is lost by waiting.
                hold(change, task, self._settings, f"Waiting for a key: {reason}")
                return
            self._take(change, task, token, worker)
            error = {"code": "unreadable", "message": f"What is stored of this task cannot be read: {reason}"}
            end_run(change, task, TaskStatus.FAILED, error)

        self._commit(work)

    def _take(self, change: Change, task: Task, token: str, worker: str) -> None:
        if task.status != TaskStatus.QUEUED.value:
            # The message overtook the relay's own mark.
            move(change, task, TaskStatus.QUEUED)
        percent = reached(change, task)
        # The attempt is part of the identity of the facts of this run, so it is raised before the move records one.
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
            token=token,
            worker=worker[:200],
            progress=percent,
            lease_until=db_now(self.lease),
            started_at=task.started_at or change.now,
        )
        change.session.execute(delete(Outbox).where(Outbox.task_id == task.id))

    def heartbeat(self, claim: Claim, progress: float, message: str) -> Beat:
        """Extend the lease and leave the live progress on the row, so that a later snapshot has it."""
        percent = clamp(progress)

        def work(change: Change) -> Beat:
            row = change.session.execute(
                update(Task)
                .where(*_held(claim))
                .values(
                    lease_until=db_now(self.lease),
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
            step = self._open(change, task, key, agent, action)
            self._extend(task)
            record_step(change, task, step, fact="start")
            return _wrote(task, step)

        return self._wrote(work)

    def _open(self, change: Change, task: Task, key: str, agent: str, action: str) -> Step:
        step = change.session.get(Step, step_id(task.id, key))
        if step is None:
            last = change.session.scalar(select(func.max(Step.position)).where(Step.task_id == task.id))
            step = Step(id=step_id(task.id, key), task_id=task.id, key=key, position=(last or 0) + 1, failures=0)
            step.attempt = 0
            change.session.add(step)
        elif step.attempt == task.attempt:
            if step.status != StepStatus.IN_PROGRESS.value:
                raise Conflict(f"step {key!r} was already performed in this run", field="key")
            return step
        # A run that was lost in the middle of it is no failure of the step.
        step.tries = step.failures + 1
        step.agent, step.action = agent, action
        step.status, step.saved, step.attempt = StepStatus.IN_PROGRESS.value, False, task.attempt
        step.message = step.output = step.output_shown = step.artifact_id = step.error = step.completed_at = None
        step.started_at = change.now
        change.session.flush()
        return step

    def finish_step(
        self, claim: Claim, key: str, output: Any, *, progress: float | None = None, message: str | None = None
    ) -> Wrote:
        """Save a step's output, its event and the lease in one transaction.

        `progress` is the percent of the task that is now done, `message` stays with the step; where one is given, a
        `task_update` of its own tells both.

        Raises:
            LeaseLost: the task is not ours any more; the output was not saved.
            Conflict: this run has not started the step, or has recorded that it failed.
        """

        def work(change: Change) -> Wrote:
            task = _hold(change, claim)
            step = _started(change, claim, key)
            if step.status == StepStatus.FAILED.value:
                raise Conflict(f"step {key!r} has already failed in this run", field="key")
            if step.status == StepStatus.IN_PROGRESS.value:
                percent = None if progress is None else clamp(progress)
                step.message = None if message is None else say(message, rules_of(change.session, task))
                self._close(change, task, step, StepStatus.COMPLETED, output, percent)
                _raise_progress(change, task, percent, message)
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
                step = self._open(change, task, key, agent, action)
                self._close(change, task, step, StepStatus.SKIPPED, {"reason": reason}, None)
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
            step = _started(change, claim, key)
            if step.status == StepStatus.IN_PROGRESS.value:
                told = hide(error, rules_of(change.session, task))
                step.status, step.error, step.completed_at = StepStatus.FAILED.value, told, change.now
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
        """End the task as somebody asked. Returns what it became."""
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

    def _extend(self, task: Task) -> None:
        task.lease_until = db_now(self.lease)

    def _close(
        self, change: Change, task: Task, step: Step, status: StepStatus, output: Any, progress: float | None
    ) -> None:
        step.status, step.saved = status.value, True
        step.output, step.artifact_id, step.output_shown = keep(change, self._settings, task, output)
        step.progress, step.completed_at = progress, change.now
        task.losses = 0
        task.updated_at = change.now
        self._extend(task)
        change.session.flush()
        change.session.refresh(task)


def _may_begin(task: Task | None, change: Change, attempt: int) -> TypeGuard[Task]:
    """Tell whether a wake-up for `attempt` is still good; a task that is too late expires here."""
    if task is None or task.attempt != attempt - 1 or TaskStatus(task.status) not in CLAIMABLE:
        return False
    if is_late(change, task):
        move(change, task, TaskStatus.EXPIRED)
        return False
    return True


def _held(claim: Claim) -> tuple[Any, ...]:
    return Task.id == claim.task_id, Task.token == claim.token, Task.status == TaskStatus.IN_PROGRESS.value


def _hold(change: Change, claim: Claim) -> Task:
    task = lock_task(change.session, claim.task_id)
    if task is None or task.token != claim.token or task.status != TaskStatus.IN_PROGRESS.value:
        raise LeaseLost
    return task


def _started(change: Change, claim: Claim, key: str) -> Step:
    step = change.session.get(Step, step_id(claim.task_id, key))
    if step is None or step.attempt != claim.attempt:
        raise Conflict(f"step {key!r} was not started in this run", field="key")
    return step


def _raise_progress(change: Change, task: Task, percent: float | None, message: str | None) -> None:
    if message is not None:
        task.message = say(message, rules_of(change.session, task))
    if percent is not None:
        task.progress = max(task.progress, percent)
    change.session.flush()


def _wrote(task: Task, step: Step) -> Wrote:
    return Wrote(step.id, task.last_seq, step.tries, task.cancel_requested_at is not None)


def clamp(percent: float) -> float:
    """Return `percent` between 0 and 100; what is not a number is no progress."""
    return 0.0 if math.isnan(percent) else min(max(float(percent), 0.0), 100.0)
