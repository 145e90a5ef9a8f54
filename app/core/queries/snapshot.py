"""Reads snapshots: the current tasks and steps of an instance at one moment, of bounded size.

A snapshot has no inputs, results and outputs; clients read these by task or step. The number of queries does not depend
on the number of tasks, steps and kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, func, or_, select
from sqlalchemy.orm import Session, defer

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import to_json
from swallowtail.app.core.ledger.event_log import Head, read_head
from swallowtail.app.core.payload_redaction.rules import rules_among
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.queries.views import summarize_step, view_state
from swallowtail.app.core.schemas.tasks import StepSummary, TaskState
from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.core.tables.tasks import Step, Task


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """The limits of one snapshot: tasks, steps and bytes of JSON."""

    tasks: int = 200
    steps: int = 2000
    size: int = 1_048_576

    @classmethod
    def of(cls, settings: Settings) -> SnapshotLimits:
        """Return the limits in the settings."""
        return cls(settings.snapshot_tasks, settings.snapshot_steps, settings.snapshot_bytes)


@dataclass(frozen=True, slots=True)
class SnapshotRows:
    """The rows of a snapshot, within the limits."""

    head: Head
    instance_id: str
    limits: SnapshotLimits
    tasks: Sequence[Task]
    steps: Sequence[Step]
    #: How many steps each task has.
    counts: dict[str, int]
    rules: dict[str, Rules]
    is_whole: bool

    def build(self, view: FieldMask = FULL) -> dict[str, Any]:
        """Return `{instance_id, epoch, head, min_seq, tasks: [summary + steps, steps_complete], complete}`, masked.

        `complete` and `steps_complete` say whether the limits left any tasks or steps out. Needs no session.
        """
        summaries, room = _summarize_tasks(self.tasks, self.rules, self.limits.size)
        tasks = _add_steps(summaries, self, room)
        return {
            "instance_id": self.instance_id,
            "epoch": self.head.epoch,
            "head": self.head.seq,
            "min_seq": self.head.min_seq,
            "tasks": [view.project(task) for task in tasks],
            "complete": self.is_whole and len(tasks) == len(self.tasks),
        }

    def encode(self, view: FieldMask = FULL) -> bytes:
        """Return the snapshot as JSON."""
        return to_json(self.build(view))


def read_snapshot_rows(
    session: Session, instance_id: str, limits: SnapshotLimits, task_id: str | None = None
) -> SnapshotRows:
    """Read as many of the latest tasks as the limits allow, or only `task_id`, and their steps. Raises NotFound."""
    head = read_head(session, instance_id)
    if head is None:
        raise NotFound("there is no such instance", field="instance_id")
    rows = _read_tasks(session, instance_id, limits.tasks + 1, task_id)
    counts = {task.id: count for task, count in rows[: limits.tasks]}
    tasks = [task for task, _ in rows[: limits.tasks]]
    steps = _read_steps(session, counts, limits.steps)
    rules = rules_among(session, instance_id, tasks)
    return SnapshotRows(head, instance_id, limits, tasks, steps, counts, rules, len(rows) == len(tasks))


def _read_tasks(session: Session, instance_id: str, limit: int, task_id: str | None) -> Sequence[Row[Task, int]]:
    """Return tasks, the latest first, each with the number of its steps."""
    count = select(func.count()).where(Step.task_id == Task.id).correlate(Task).scalar_subquery()
    query = select(Task, count).options(defer(Task.input, raiseload=True), defer(Task.result, raiseload=True))
    query = query.where(Task.instance_id == instance_id)
    if task_id is not None:
        query = query.where(Task.id == task_id)
    return session.execute(query.order_by(Task.created_at.desc(), Task.id.desc()).limit(limit)).all()


def _summarize_tasks(rows: Sequence[Task], rules: dict[str, Rules], size: int) -> tuple[list[TaskState], int]:
    """Return the summaries that fit into `size` bytes, and how many bytes are left."""
    summaries: list[TaskState] = []
    for row in rows:
        summary = view_state(row, rules[row.id])
        size -= len(to_json(summary))
        if size < 0:
            return summaries, 0
        summaries.append(summary)
    return summaries, size


def _read_steps(session: Session, counts: dict[str, int], limit: int) -> Sequence[Step]:
    """Return up to `limit` steps, the latest of a task first; `counts` has the tasks in order, with their steps."""
    whole: list[str] = []
    cut, after = None, 0
    for task_id, count in counts.items():
        limit -= count
        if limit < 0:
            # Positions have no gaps: the latest `n` of `count` steps have the positions after `count - n`.
            cut, after = task_id, -limit
            break
        whole.append(task_id)
    conditions: list[ColumnElement[bool]] = [Step.task_id.in_(whole)] if whole else []
    if cut is not None:
        # An index finds each half of the "or"; with other conditions, the database would read all steps.
        conditions.append((Step.task_id == cut) & (Step.position > after))
    if not conditions:
        return []
    rows = session.scalars(select(Step).options(defer(Step.output, raiseload=True)).where(or_(*conditions))).all()
    return sorted(rows, key=lambda row: row.position, reverse=True)


def _add_steps(summaries: list[TaskState], read: SnapshotRows, room: int) -> list[dict[str, Any]]:
    """Return the tasks with the summaries of the steps that fit into `room` bytes."""
    rows: dict[str, list[Step]] = {}
    for row in read.steps:
        rows.setdefault(row.task_id, []).append(row)
    tasks = []
    for task in summaries:
        steps: list[StepSummary] = []
        for row in rows.get(task["id"], []):
            summary = summarize_step(row, read.rules[row.task_id])
            room -= len(to_json(summary))
            if room < 0:
                break
            steps.append(summary)
        is_complete = len(steps) == read.counts[task["id"]]
        tasks.append({**task, "steps": steps[::-1], "steps_complete": is_complete})
    return tasks
