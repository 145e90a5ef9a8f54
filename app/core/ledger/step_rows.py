"""Changes the rows of a run's steps inside its fenced transactions: opens, closes and finds them."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import func, select

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Conflict
from swallowtail.app.core.events import step_id
from swallowtail.app.core.ledger.artifacts import store_output
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.transitions import redact_message
from swallowtail.app.core.payload_redaction.rules import rules_of
from swallowtail.app.core.states import StepStatus
from swallowtail.app.core.tables.tasks import Step, Task


def open_step(change: Change, task: Task, key: str, agent: str, action: str) -> Step:
    """Return the step of a key, opened for this attempt. Raises Conflict when this run has already performed it."""
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
    # A lost run does not count as a failure of the step.
    step.tries = step.failures + 1
    step.agent, step.action = agent, action
    step.status, step.saved, step.attempt = StepStatus.IN_PROGRESS.value, False, task.attempt
    step.message = step.output = step.output_shown = step.artifact_id = step.error = step.completed_at = None
    step.started_at = change.now
    change.session.flush()
    return step


def close_step(
    change: Change,
    settings: Settings,
    task: Task,
    step: Step,
    status: StepStatus,
    output: Any,
    progress: float | None = None,
) -> None:
    """Save a step with its output and extend the lease of its run."""
    step.status, step.saved = status.value, True
    step.output, step.artifact_id, step.output_shown = store_output(change, settings, task, output)
    step.progress, step.completed_at = progress, change.now
    task.losses, task.updated_at, task.lease_until = 0, change.now, db_now(settings.lease_seconds)
    change.session.flush()
    change.session.refresh(task)


def find_started(change: Change, claim: Claim, key: str) -> Step:
    """Return the step of a key. Raises Conflict when this run has not started it."""
    step = change.session.get(Step, step_id(claim.task_id, key))
    if step is None or step.attempt != claim.attempt:
        raise Conflict(f"step {key!r} was not started in this run", field="key")
    return step


def raise_progress(change: Change, task: Task, percent: float | None, message: str | None) -> None:
    """Copy a step's message and progress to the row of its task; progress never decreases."""
    if message is not None:
        task.message = redact_message(message, rules_of(change.session, task))
    if percent is not None:
        task.progress = max(task.progress, percent)
    change.session.flush()


def clamp(percent: float) -> float:
    """Return `percent` between 0 and 100; 0 for NaN."""
    return 0.0 if math.isnan(percent) else min(max(float(percent), 0.0), 100.0)
