"""Moves one task from one status to another: a conditional UPDATE, its row count, and the event that records it.

Only the writers in `core/ledger` call it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, defer

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Conflict, InvalidInput
from swallowtail.app.core.events import EXECUTION_STEP, TASK_UPDATE, clean, stamp
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.payload_redaction.kept_values import shown_value
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.privacy.redaction import redact_fields
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.privacy.text_redaction import redact_text
from swallowtail.app.core.states import TERMINAL, StepStatus, TaskStatus, may_move
from swallowtail.app.core.tables.column_encryption import keyring_of, seal
from swallowtail.app.core.tables.tasks import Outbox, Step, Task
from swallowtail.app.core.tables.unreadable import is_unreadable
from swallowtail.app.core.validation import LONGEST_MESSAGE

#: The message of a task when the move brings none.
_MESSAGES = {
    TaskStatus.SUBMITTED: "Submitted",
    TaskStatus.QUEUED: "Queued",
    TaskStatus.IN_PROGRESS: "Started",
    TaskStatus.WAITING: "Waiting",
    TaskStatus.RETRYING: "Retrying",
    TaskStatus.COMPLETED: "Completed",
    TaskStatus.FAILED: "Failed",
    TaskStatus.CANCELLED: "Cancelled",
    TaskStatus.EXPIRED: "Expired before a worker took it",
}


CANCELLED = {"code": "cancelled", "message": "Cancelled"}
#: Of a step that was still open when its run returned a result.
UNFINISHED = {"code": "unfinished", "message": "The run ended before this step did"}


#: Columns that a move does not need, so that a task whose payloads cannot be read can still be moved.
_PAYLOADS = ("input", "result", "error")
_KEPT = ("input_shown", "secrets", "result_shown")
_PLAIN = [name for name in Task.__table__.columns.keys() if name not in (*_PAYLOADS, *_KEPT)]  # noqa: SIM118 - keys


def lock_task(session: Session, task_id: str) -> Task | None:
    """Return the task's row, locked until the end of the transaction, or None when there is none.

    Where a payload of it cannot be read, the row comes without: only who asks for that payload gets the error.
    """
    query = select(Task).where(Task.id == task_id).with_for_update().execution_options(populate_existing=True)
    try:
        return session.scalars(query).one_or_none()
    except Exception as fault:
        if not is_unreadable(fault):
            raise
    for task in [held for held in session if isinstance(held, Task) and held.id == task_id]:
        session.expunge(task)
    return session.scalars(query.options(*map(defer, (Task.input, Task.result, Task.error)))).one_or_none()


def reread(session: Session, task: Task, *written: str) -> None:
    """Read a locked task's row again; of one that came without its payloads, only those that were `written`."""
    whole = all(name in task.__dict__ for name in _PAYLOADS)
    session.refresh(task, None if whole else [*_PLAIN, *written])


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
    """Move `task` (locked) to `after`, set `values` on its row and record the fact; `shown` is kept of the result.

    A status change sets `error` and `result` to what it carries, or to null: a watcher needs no other rule.

    Raises:
        Conflict: the state machine has no such move, or the row is no longer what it was.
    """
    before = TaskStatus(task.status)
    if not may_move(before, after):
        raise Conflict(f"a task that is {before} cannot become {after}", field="status")
    rules, keyring = rules_of(change.session, task), keyring_of(change.session)
    message = say(message or "", rules) or _MESSAGES[after]
    values = {"artifact_id": None, **values, "status": after.value, "message": message, "updated_at": change.now}
    values["error"] = seal(keyring, Task, task.id, "error", hide(error, rules))
    values["result"] = seal(keyring, Task, task.id, "result", result)
    values["result_shown"] = seal(keyring, Task, task.id, "result_shown", shown)
    if after in TERMINAL:
        values |= {"finished_at": change.now, "token": None, "lease_until": None}
        change.session.execute(delete(Outbox).where(Outbox.task_id == task.id))
    moved = change.session.execute(
        update(Task)
        .where(Task.id == task.id, Task.status == before.value, Task.attempt == task.attempt)
        .values(**values)
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if moved is None:
        raise Conflict(f"the task is no longer {before}", field="status")
    reread(change.session, task, "result", "error")
    record_status(change, task, before, shown)


def hide(error: dict[str, Any] | None, rules: Rules) -> dict[str, Any] | None:
    """Return an error with its secrets hidden."""
    return None if error is None else redact_fields({"error": error}, rules)["error"]


def say(message: str, rules: Rules) -> str:
    """Return a message as it may be stored: of bounded length, with its secrets hidden."""
    return redact_text(clean(message[:LONGEST_MESSAGE]), rules)


def record_status(change: Change, task: Task, before: TaskStatus | None, kept: Any = None) -> None:
    """Record that `task` has just come from `before` to its present status; `kept` is what is shown of its result."""
    data = {
        **_update(change, task),
        "status": task.status,
        "previous_status": None if before is None else before.value,
    }
    if before is None:
        # A watcher can show a task that is new to it, without asking for it.
        title = redact_text(task.title, rules_of(change.session, task))
        data |= {"kind": task.kind, "title": title, "submitted_by": task.submitted_by}
    if task.error is not None:
        data["error"] = task.error
    if task.result is not None:
        data["result"] = shown_value(kept, task.result)
    shown = () if task.artifact_id is None and kept is None else ("result",)
    change.record(task, TASK_UPDATE, data, fact=f"status:{task.status}", shown=shown)


def record_note(change: Change, task: Task, *, fact: str, extra: dict[str, Any] | None = None) -> None:
    """Record progress or a remark that changes no status."""
    change.record(task, TASK_UPDATE, {**_update(change, task), **(extra or {})}, fact=fact)


def _update(change: Change, task: Task) -> dict[str, Any]:
    return {"progress": task.progress, "message": task.message, "timestamp": stamp(change.now)}


def record_step(change: Change, task: Task, step: Step, *, fact: str) -> None:
    """Record that `step` started or ended."""
    kept = step.__dict__.get("output_shown")
    data = {
        "step_id": step.id,
        "agent": step.agent,
        "action": step.action,
        "status": step.status,
        "output": shown_value(kept, step.output),
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
    shown = () if step.artifact_id is None and kept is None else ("output",)
    change.record(task, EXECUTION_STEP, data, fact=fact, step=step.key, shown=shown)


def close_open_steps(change: Change, task: Task, error: dict[str, Any]) -> None:
    """End every step that a run left open, so that no watcher sees one that is never over."""
    open_steps = select(Step).where(Step.task_id == task.id, Step.status == StepStatus.IN_PROGRESS.value)
    for step in change.session.scalars(open_steps.order_by(Step.position)).all():
        step.status = StepStatus.FAILED.value
        step.error = hide(error, rules_of(change.session, task))
        step.completed_at = change.now
        record_step(change, task, step, fact="end")
    change.session.flush()


def enqueue(change: Change, task: Task, delay: float = 0.0) -> None:
    """Put the task's next attempt into the outbox, due in `delay` seconds."""
    change.session.flush()
    change.session.execute(delete(Outbox).where(Outbox.task_id == task.id))
    row = Outbox(task_id=task.id, attempt=task.attempt + 1, sends=0)
    # By one clock, so that the delay stays known when the clock jumps (`core/coordination/database_clock`).
    row.created_at, row.available_at, row.due_at = db_now(), db_now(delay), db_now(delay)
    change.session.add(row)
    change.session.flush()


def may_wait(change: Change, task: Task, settings: Settings) -> bool:
    """Tell whether a locked task that this worker does not know may go on waiting for one that does."""
    held = change.session.scalar(
        select(Outbox.held_since < db_now(-settings.kind_patience)).where(Outbox.task_id == task.id)
    )
    return settings.kind_patience > 0 and not held


def hold(change: Change, task: Task, settings: Settings, reason: str) -> None:
    """Give a locked task back that this worker cannot begin: its outbox entry is due again after a growing pause.

    The reason is recorded once and stays on the row; the task keeps its attempts.
    """
    mine = (Outbox.task_id == task.id, Outbox.attempt == task.attempt + 1)
    row = change.session.execute(select(Outbox.held_since, db_now().label("clock")).where(*mine)).one_or_none()
    if row is None:
        enqueue(change, task)
    since = None if row is None else row.held_since
    held = 0.0 if row is None or since is None else (row.clock - since).total_seconds()
    pause = min(max(settings.backoff_base, held / 4), settings.backoff_max)
    change.session.execute(
        update(Outbox)
        .where(*mine)
        # As one that was never sent: what waits for this worker's like is sent again without any doubt.
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
    """Forget `from_step` and every later step, and give every unfinished one a clean slate of tries."""
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
