"""Reads what a claim gives to its run: the task's input and the journal of its finished steps, both checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.ledger.artifacts import whole
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.payload_redaction.rules import rules_of, whole_input
from swallowtail.app.core.privacy.redaction_rules import PATTERNS_ONLY, Rules
from swallowtail.app.core.tables.column_encryption import place_of
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.core.tables.unreadable import sound


@dataclass(frozen=True, slots=True)
class SavedStep:
    """A step whose output the journal has: `status` is completed or skipped."""

    key: str
    status: str
    output: Any


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's hold on a task. `progress` is what the finished steps amount to, `saved` is keyed by step key."""

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
    #: That of the log in which `base_seq` is a number.
    epoch: str = ""
    #: Rules for what the run shows beside its events.
    rules: Rules = PATTERNS_ONLY


def describe(change: Change, task: Task) -> Claim:
    """Return the claim of a task that has just been taken.

    Raises:
        Unreadable, KeyMissing, Tampered: its input or a saved output cannot be read.
    """
    given = sound(whole_input(change.session, task), place_of(Task, task.id, "input"))
    steps = change.session.scalars(select(Step).where(Step.task_id == task.id, Step.saved.is_(True))).all()
    outputs = {step.id: sound(whole(change.session, step), place_of(Step, step.id, "output")) for step in steps}
    return Claim(
        task_id=task.id,
        instance_id=task.instance_id,
        kind=task.kind,
        input=given,
        attempt=task.attempt,
        token=task.token or "",
        progress=task.progress,
        base_seq=task.last_seq,
        failures=task.failures,
        saved={step.key: SavedStep(step.key, step.status, outputs[step.id]) for step in steps},
        rules=rules_of(change.session, task),
    )


def reached(change: Change, task: Task) -> float:
    """Return the percent that the finished steps amount to."""
    percent = select(func.max(Step.progress)).where(Step.task_id == task.id, Step.saved.is_(True))
    return change.session.scalar(percent) or 0.0


def is_late(change: Change, task: Task) -> bool:
    """Return whether the task has expired without a claim."""
    if task.attempt > 0 or task.expires_at is None:
        return False
    clock = change.session.scalar(select(db_now()))
    return clock is not None and task.expires_at < clock
