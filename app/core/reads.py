"""What callers see of the rows: JSON-ready views, lists with cursors, and snapshots. Reads only."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, TypedDict, TypeVar

import orjson
from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session

from app.core.errors import InvalidInput, NotFound
from app.core.events import clean, stamp
from app.core.log import read_head
from app.core.models import Agent, Base, Instance, Moment, Schedule, Slot, Step, Task
from app.core.states import TaskStatus

Row = TypeVar("Row", bound=Base)


class InstanceView(TypedDict):
    """A workspace; `seq` is the number of its latest event."""

    id: str
    name: str
    epoch: str
    seq: int
    created_at: str | None


class TaskView(TypedDict):
    """A task as every entrance shows it; moments are RFC 3339 UTC, progress is 0 to 100."""

    id: str
    instance_id: str
    kind: str
    title: str
    status: str
    progress: float
    message: str
    attempt: int
    input: Any
    result: Any
    error: dict[str, Any] | None
    cancel_requested: bool
    submitted_by: str
    last_seq: int
    created_at: str | None
    started_at: str | None
    finished_at: str | None
    updated_at: str | None
    expires_at: str | None


class StepView(TypedDict):
    """A step as every entrance shows it."""

    step_id: str
    task_id: str
    key: str
    position: int
    agent: str
    action: str
    status: str
    output: Any
    error: dict[str, Any] | None
    attempt: int
    tries: int
    started_at: str | None
    completed_at: str | None


class AgentView(TypedDict):
    """An agent's card: what may be submitted, and what its input must look like."""

    kind: str
    title: str
    description: str
    version: str
    input_schema: dict[str, Any]
    soft_time_limit: float | None
    hard_time_limit: float | None


class ScheduleView(TypedDict):
    """A schedule with its next and last slot."""

    id: str
    instance_id: str
    name: str
    kind: str
    input: Any
    timing: str
    cron: str | None
    timezone: str
    interval_seconds: float | None
    run_at: str | None
    catch_up: str
    overlap: str
    paused: bool
    next_slot_at: str | None
    last_slot_at: str | None
    created_at: str | None


class SlotView(TypedDict):
    """One firing of a schedule, and what came of it."""

    schedule_id: str
    planned_at: str | None
    outcome: str
    reason: str
    task_id: str | None


def view_instance(row: Instance) -> InstanceView:
    """Return the view of one row."""
    return InstanceView(id=row.id, name=row.name, epoch=row.epoch, seq=row.seq, created_at=stamp(row.created_at))


def view_task(row: Task) -> TaskView:
    """Return the view of one row."""
    running = row.status == TaskStatus.IN_PROGRESS.value
    return TaskView(
        id=row.id,
        instance_id=row.instance_id,
        kind=row.kind,
        title=row.title,
        status=row.status,
        progress=row.progress,
        message=row.message,
        attempt=row.attempt,
        input=row.input,
        result=row.result,
        error=row.error,
        cancel_requested=running and row.cancel_requested_at is not None,
        submitted_by=row.submitted_by,
        last_seq=row.last_seq,
        created_at=stamp(row.created_at),
        started_at=stamp(row.started_at),
        finished_at=stamp(row.finished_at),
        updated_at=stamp(row.updated_at),
        expires_at=stamp(row.expires_at),
    )


def view_step(row: Step) -> StepView:
    """Return the view of one row."""
    return StepView(
        step_id=row.id,
        task_id=row.task_id,
        key=row.key,
        position=row.position,
        agent=row.agent,
        action=row.action,
        status=row.status,
        output=row.output,
        error=row.error,
        attempt=row.attempt,
        tries=row.tries,
        started_at=stamp(row.started_at),
        completed_at=stamp(row.completed_at),
    )


def view_agent(row: Agent) -> AgentView:
    """Return the view of one row."""
    return AgentView(
        kind=row.kind,
        title=row.title,
        description=row.description,
        version=row.version,
        input_schema=row.input_schema,
        soft_time_limit=row.soft_time_limit,
        hard_time_limit=row.hard_time_limit,
    )


def view_schedule(row: Schedule) -> ScheduleView:
    """Return the view of one row."""
    return ScheduleView(
        id=row.id,
        instance_id=row.instance_id,
        name=row.name,
        kind=row.kind,
        input=row.input,
        timing=row.timing,
        cron=row.cron,
        timezone=row.timezone,
        interval_seconds=row.interval_seconds,
        run_at=stamp(row.run_at),
        catch_up=row.catch_up,
        overlap=row.overlap,
        paused=row.paused,
        next_slot_at=stamp(row.next_slot_at),
        last_slot_at=stamp(row.last_slot_at),
        created_at=stamp(row.created_at),
    )


def read_instance(session: Session, instance_id: str) -> InstanceView:
    """Return one workspace. Raises NotFound."""
    row = _find(session, Instance, instance_id)
    if row is None:
        raise NotFound("there is no such instance", field="instance_id")
    return view_instance(row)


def list_instances(session: Session, *, limit: int, cursor: str | None = None) -> tuple[list[InstanceView], str | None]:
    """Return workspaces by id, and the cursor of the next page."""
    query = select(Instance).order_by(Instance.id)
    if cursor is not None:
        (after,) = _decode(cursor, (str,))
        query = query.where(Instance.id > after)
    rows = session.scalars(query.limit(limit + 1)).all()
    more = _encode([rows[limit - 1].id]) if len(rows) > limit else None
    return [view_instance(row) for row in rows[:limit]], more


def read_task(session: Session, task_id: str) -> TaskView:
    """Return one task. Raises NotFound."""
    row = _find(session, Task, task_id)
    if row is None:
        raise NotFound("there is no such task", field="task_id")
    return view_task(row)


def list_tasks(
    session: Session,
    instance_id: str,
    *,
    limit: int,
    cursor: str | None = None,
    status: TaskStatus | None = None,
    kind: str | None = None,
) -> tuple[list[TaskView], str | None]:
    """Return an instance's tasks, the latest first, and the cursor of the next page. Raises NotFound, InvalidInput."""
    read_instance(session, instance_id)
    query = select(Task).where(Task.instance_id == instance_id)
    if status is not None:
        query = query.where(Task.status == status.value)
    if kind is not None:
        query = query.where(Task.kind == clean(kind))
    if cursor is not None:
        micros, task_id = _decode(cursor, (int, str))
        query = query.where(tuple_(Task.created_at, Task.id) < tuple_(literal(_moment(micros), Moment()), task_id))
    rows = session.scalars(query.order_by(Task.created_at.desc(), Task.id.desc()).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    more = None if last is None else _encode([round(last.created_at.timestamp() * 1_000_000), last.id])
    return [view_task(row) for row in rows[:limit]], more


def list_steps(session: Session, task_id: str) -> list[StepView]:
    """Return a task's steps in the order in which they were first started. Raises NotFound."""
    read_task(session, task_id)
    rows = session.scalars(select(Step).where(Step.task_id == task_id).order_by(Step.position))
    return [view_step(row) for row in rows]


def snapshot(session: Session, instance_id: str, limit: int) -> dict[str, Any]:
    """Return `{instance_id, epoch, head, min_seq, tasks: [task view + steps], complete}` as of one moment.

    At most `limit` tasks, the latest first; `complete` tells whether these are all. Raises NotFound.
    """
    head = read_head(session, instance_id)
    if head is None:
        raise NotFound("there is no such instance", field="instance_id")
    tasks, more = list_tasks(session, instance_id, limit=limit)
    steps: dict[str, list[StepView]] = {task["id"]: [] for task in tasks}
    for row in session.scalars(select(Step).where(Step.task_id.in_(steps)).order_by(Step.task_id, Step.position)):
        steps[row.task_id].append(view_step(row))
    return {
        "instance_id": instance_id,
        "epoch": head.epoch,
        "head": head.seq,
        "min_seq": head.min_seq,
        "tasks": [{**task, "steps": steps[task["id"]]} for task in tasks],
        "complete": more is None,
    }


def list_agents(session: Session) -> list[AgentView]:
    """Return every agent's card, by kind."""
    return [view_agent(row) for row in session.scalars(select(Agent).order_by(Agent.kind))]


def read_agent(session: Session, kind: str) -> AgentView:
    """Return one agent's card. Raises NotFound."""
    row = _find(session, Agent, kind)
    if row is None:
        raise NotFound(f"there is no agent of kind {kind!r}", field="kind")
    return view_agent(row)


def list_schedules(session: Session, instance_id: str) -> list[ScheduleView]:
    """Return an instance's schedules by name. Raises NotFound."""
    read_instance(session, instance_id)
    rows = session.scalars(select(Schedule).where(Schedule.instance_id == instance_id).order_by(Schedule.name))
    return [view_schedule(row) for row in rows]


def read_schedule(session: Session, schedule_id: str) -> ScheduleView:
    """Return one schedule. Raises NotFound."""
    row = _find(session, Schedule, schedule_id)
    if row is None:
        raise NotFound("there is no such schedule", field="schedule_id")
    return view_schedule(row)


def list_slots(session: Session, schedule_id: str, limit: int) -> list[SlotView]:
    """Return a schedule's latest slots, the latest first. Raises NotFound."""
    read_schedule(session, schedule_id)
    query = select(Slot).where(Slot.schedule_id == schedule_id).order_by(Slot.planned_at.desc()).limit(limit)
    return [
        SlotView(
            schedule_id=row.schedule_id,
            planned_at=stamp(row.planned_at),
            outcome=row.outcome,
            reason=row.reason,
            task_id=row.task_id,
        )
        for row in session.scalars(query)
    ]


def _find(session: Session, model: type[Row], key: str) -> Row | None:
    # PostgreSQL raises for a key with NUL, and both drivers for a lone surrogate; nothing has such a key.
    return session.get(model, key) if key == clean(key) else None


def _encode(parts: list[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _decode(cursor: str, shape: tuple[type, ...]) -> list[Any]:
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as fault:
        raise InvalidInput("this is not a cursor that a list gave out", field="cursor") from fault
    # PostgreSQL refuses text with NUL.
    if not isinstance(parts, list) or [type(part) for part in parts] != list(shape) or "\x00" in str(parts[-1]):
        raise InvalidInput("this is not a cursor that a list gave out", field="cursor")
    return parts


def _moment(micros: int) -> datetime:
    try:
        return datetime.fromtimestamp(micros / 1_000_000, UTC)
    except (OverflowError, ValueError, OSError) as fault:
        raise InvalidInput("this is not a cursor that a list gave out", field="cursor") from fault
