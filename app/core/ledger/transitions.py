"""Moves one task from one status to another: a conditional UPDATE, its row count, and the event that records it.

Only the writers in `core/ledger` call it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Conflict, InvalidInput
from swallowtail.app.core.events import EXECUTION_STEP, TASK_UPDATE, clean, stamp
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.payload_redaction.stored_redactions import shown_value
from swallowtail.app.core.privacy.redaction import redact_fields, redact_text
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.states import TERMINAL, StepStatus, TaskStatus, may_move
from swallowtail.app.core.tables.column_encryption import encrypt_value, keyring_of
from swallowtail.app.core.tables.tasks import Outbox, Step, Task
from swallowtail.app.core.validation import LONGEST_MESSAGE

#: The messages of moves that have none of their own, where it is not the name of the status.
_MESSAGES = {TaskStatus.IN_PROGRESS: "Started", TaskStatus.EXPIRED: "Expired before a worker took it"}

CANCELLED = {"code": "cancelled", "message": "Cancelled"}
#: The error of a step that was still open when its run returned a result.
UNFINISHED = {"code": "unfinished", "message": "The run ended before this step did"}


def lock_task(session: Session, task_id: str) -> Task | None:
    """Return the task's row, locked until the end of the transaction; None if there is none."""
    query = select(Task).where(Task.id == task_id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def move(
    change: Change,
    task: Task,
    after: TaskStatus,
    *,
    message: str | None = None,
    error: dict[str, Any] | None = None,
    result: Any = None,
    shown: Any = None,
    **values: Any,
) -> None:
    """Move a locked task to `after`, set `values` on its row and record the event; `shown` is the result's redaction.

    `error` and `result` become null if they are not given. Raises Conflict if there is no such move, or the row has
    changed.
    """
    before = TaskStatus(task.status)
    if not may_move(before, after):
        raise Conflict(f"a task that is {before} cannot become {after}", field="status")
    rules, keyring = rules_of(change.session, task), keyring_of(change.session)
    message = redact_message(message or "", rules) or _MESSAGES.get(after, after.capitalize())
    values = {"artifact_id": None, **values, "status": after.value, "message": message, "updated_at": change.now}
    values["error"] = encrypt_value(keyring, Task, task.id, "error", redact_error(error, rules))
    values["result"] = encrypt_value(keyring, Task, task.id, "result", result)
    values["result_shown"] = encrypt_value(keyring, Task, task.id, "result_shown", shown)
    if after in TERMINAL:
        values |= {"finished_at": change.now, "token": None, "lease_until": None}
        change.session.execute(delete(Outbox).where(Outbox.task_id == task.id))
    row = change.session.execute(
        update(Task)
        .where(Task.id == task.id, Task.status == before.value, Task.attempt == task.attempt)
        .values(**values)
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        raise Conflict(f"the task is no longer {before}", field="status")
    change.session.refresh(task)
    record_status(change, task, before, shown)


def redact_error(error: dict[str, Any] | None, rules: Rules) -> dict[str, Any] | None:
    """Return an error with its secrets redacted."""
    return None if error is None else redact_fields({"error": error}, rules)["error"]


def redact_message(message: str, rules: Rules) -> str:
    """Return a message, cut to the longest that is stored, with its secrets redacted."""
    return redact_text(clean(message[:LONGEST_MESSAGE]), rules)


def record_status(change: Change, task: Task, before: TaskStatus | None, redacted_result: Any = None) -> None:
    """Record the move of `task` from `before` to its present status; `redacted_result` is a stored redaction."""
    data = {**_update(change, task), "status": task.status, "previous_status": None if before is None else before.value}
    if before is None:
        # A client can show the new task without another request.
        title = redact_text(task.title, rules_of(change.session, task))
        data |= {"kind": task.kind, "title": title, "submitted_by": task.submitted_by}
    if task.error is not None:
        data["error"] = task.error
    if task.result is not None:
        data["result"] = shown_value(redacted_result, task.result)
    shown = () if task.artifact_id is None and redacted_result is None else ("result",)
    change.record(task, TASK_UPDATE, data, fact=f"status:{task.status}", shown=shown)


def record_note(change: Change, task: Task, *, fact: str, extra: dict[str, Any] | None = None) -> None:
    """Record an event that changes no status, such as progress."""
    change.record(task, TASK_UPDATE, {**_update(change, task), **(extra or {})}, fact=fact)


def _update(change: Change, task: Task) -> dict[str, Any]:
    return {"progress": task.progress, "message": task.message, "timestamp": stamp(change.now)}


def record_step(change: Change, task: Task, step: Step, *, fact: str) -> None:
    """Record that `step` started or ended."""
    redacted_output = step.__dict__.get("output_shown")
    data = {
        "step_id": step.id,
        "agent": step.agent,
        "action": step.action,
        "status": step.status,
        "output": shown_value(redacted_output, step.output),
        "started_at": stamp(step.started_at),
        "completed_at": stamp(step.completed_at),
        "key": step.key,
        "position": step.position,
        "tries": step.tries,
        "progress": task.progress,
    }
    if step.message is not None:
        data["message"] = step.message
    if step.error is not None:
        data["error"] = step.error
    shown = () if step.artifact_id is None and redacted_output is None else ("output",)
    change.record(task, EXECUTION_STEP, data, fact=fact, step=step.key, shown=shown)


def close_open_steps(change: Change, task: Task, error: dict[str, Any]) -> None:
    """Fail every step that a run left open, so that no client shows it as running for ever."""
    open_steps = select(Step).where(Step.task_id == task.id, Step.status == StepStatus.IN_PROGRESS.value)
    for step in change.session.scalars(open_steps.order_by(Step.position)).all():
        step.status = StepStatus.FAILED.value
        step.error = redact_error(error, rules_of(change.session, task))
        step.completed_at = change.now
        record_step(change, task, step, fact="end")
    change.session.flush()


def enqueue(change: Change, task: Task, delay: float = 0.0) -> None:
    """Add the outbox entry of the task's next attempt, due in `delay` seconds."""
    change.session.flush()
    change.session.execute(delete(Outbox).where(Outbox.task_id == task.id))
    row = Outbox(task_id=task.id, attempt=task.attempt + 1, sends=0)
    # By one clock, so that the delay can be recovered when the clock jumps (`core/coordination/database_clock`).
    row.created_at, row.available_at, row.due_at = db_now(), db_now(delay), db_now(delay)
    change.session.add(row)
    change.session.flush()


def may_postpone(change: Change, task: Task, settings: Settings) -> bool:
    """Return whether a locked task of a kind that this worker does not know may wait for another worker."""
    is_overdue = change.session.scalar(
        select(Outbox.held_since < db_now(-settings.kind_patience)).where(Outbox.task_id == task.id)
    )
    return settings.kind_patience > 0 and not is_overdue


def postpone(change: Change, task: Task, settings: Settings, reason: str) -> None:
    """Return a locked task that this worker cannot run: its outbox entry is due again after a growing pause.

    The reason is recorded once and stays on the row; the task keeps its attempts.
    """
    next_attempt = (Outbox.task_id == task.id, Outbox.attempt == task.attempt + 1)
    row = change.session.execute(select(Outbox.held_since, db_now().label("clock")).where(*next_attempt)).one_or_none()
    if row is None:
        enqueue(change, task)
    since = None if row is None else row.held_since
    waited_seconds = 0.0 if row is None or since is None else (row.clock - since).total_seconds()
    pause = min(max(settings.backoff_base, waited_seconds / 4), settings.backoff_max)
    change.session.execute(
        update(Outbox)
        .where(*next_attempt)
        # As if it was never sent, so that the relay sends it without asking for lost messages.
        .values(sends=0, available_at=db_now(pause), held_since=db_now() if since is None else since)
        .execution_options(synchronize_session=False)
    )
    if since is None:
        task.message, task.updated_at = reason, change.now
        change.session.flush()
        record_note(change, task, fact="held")


def end_run(change: Change, task: Task, after: TaskStatus, error: dict[str, Any] | None, **values: Any) -> TaskStatus:
    """End the run of a locked task; a cancel that was requested before wins over every other end."""
    if task.cancel_requested_at is not None:
        close_open_steps(change, task, CANCELLED)
        move(change, task, TaskStatus.CANCELLED)
        return TaskStatus.CANCELLED
    close_open_steps(change, task, error or UNFINISHED)
    if error is not None:
        values |= {"error": error, "message": error["message"]}
    move(change, task, after, **values)
    return after


def expire_unclaimed(change: Change, task_id: str) -> None:
    """End a task as EXPIRED unless a worker has claimed it."""
    task = lock_task(change.session, task_id)
    if task is not None and task.status in (TaskStatus.SUBMITTED, TaskStatus.QUEUED) and task.attempt == 0:
        move(change, task, TaskStatus.EXPIRED)


def clear_journal(change: Change, task: Task, from_step: str | None) -> None:
    """Discard the outputs of `from_step` and of every later step, and reset the tries of unfinished ones."""
    steps = change.session.scalars(select(Step).where(Step.task_id == task.id).order_by(Step.position)).all()
    keys = [step.key for step in steps]
    if from_step is not None and from_step not in keys:
        raise InvalidInput(f"the task has no step {from_step!r}", field="from_step")
    keep = keys.index(from_step) if from_step is not None else len(keys)
    for place, step in enumerate(steps):
        step.saved = step.saved and place < keep
        if not step.saved:
            step.tries = step.failures = 0
    change.session.flush()
