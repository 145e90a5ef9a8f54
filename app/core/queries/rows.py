"""Reads rows as views: single objects, and lists with cursors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import ColumnElement, Select, literal, select, tuple_
from sqlalchemy.orm import Session, defer
from sqlalchemy.orm.interfaces import ORMOption

from swallowtail.app.core.errors import InvalidInput, NotFound
from swallowtail.app.core.events import clean
from swallowtail.app.core.payload_redaction.rules import rules_among, rules_for, rules_of
from swallowtail.app.core.process.offload import offload_by_size
from swallowtail.app.core.queries.text_search import MOST_EXAMINED, TextSearch
from swallowtail.app.core.queries.views import (
    summarize_schedule,
    summarize_step,
    summarize_task,
    view_agent,
    view_schedule,
    view_step,
    view_task,
)
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.schemas.instances import AgentView, InstanceView
from swallowtail.app.core.schemas.schedules import ScheduleSummary, ScheduleView, SlotView
from swallowtail.app.core.schemas.tasks import StepSummary, StepView, TaskSummary, TaskView
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.base import Base, Moment
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.schedules import Schedule, Slot
from swallowtail.app.core.tables.system import Agent
from swallowtail.app.core.tables.tasks import Step, Task

Row = TypeVar("Row", bound=Base)

#: Options of a query for tasks that must not load the payloads.
_NO_PAYLOADS = (defer(Task.input, raiseload=True), defer(Task.result, raiseload=True))


def read_instance(session: Session, instance_id: str) -> InstanceView:
    """Return one workspace. Raises NotFound."""
    return view_row(InstanceView, _get(session, Instance, instance_id, "instance"))


def list_instances(
    session: Session, *, limit: int, cursor: str | None = None, among: ColumnElement[bool] | None = None
) -> tuple[list[InstanceView], str | None]:
    """Return the workspaces that match `among`, by id, and the cursor of the next page."""
    query = select(Instance).order_by(Instance.id)
    if among is not None:
        query = query.where(among)
    if cursor is not None:
        (after,) = _decode(cursor, (str,))
        query = query.where(Instance.id > after)
    rows = session.scalars(query.limit(limit + 1)).all()
    next_cursor = _encode([rows[limit - 1].id]) if len(rows) > limit else None
    return [view_row(InstanceView, row) for row in rows[:limit]], next_cursor


def read_task(session: Session, task_id: str) -> TaskView:
    """Return one task. Raises NotFound."""
    row = _get(session, Task, task_id, "task")
    return view_task(session, row, rules_of(session, row))


def list_tasks(
    session: Session,
    instance_id: str,
    *,
    limit: int,
    cursor: str | None = None,
    status: TaskStatus | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    search: TextSearch | None = None,
    task_id: str | None = None,
) -> tuple[list[TaskSummary], str | None]:
    """Return summaries of an instance's tasks, the latest first, and the next cursor. `task_id`: of this task only.

    They were submitted at or after `since`, before `until`. A page of a `search` may have few tasks although there is a
    next page.
    """
    read_instance(session, instance_id)
    query = select(Task).options(*_NO_PAYLOADS).where(Task.instance_id == instance_id)
    if task_id is not None:
        query = query.where(Task.id == task_id)
    if status is not None:
        query = query.where(Task.status == status.value)
    if kind is not None:
        query = query.where(Task.kind == clean(kind))
    if since is not None:
        query = query.where(Task.created_at >= since)
    if until is not None:
        query = query.where(Task.created_at < until)
    if cursor is not None:
        micros, task_id = _decode(cursor, (int, str))
        query = query.where(tuple_(Task.created_at, Task.id) < tuple_(literal(_moment(micros), Moment()), task_id))
    query = query.order_by(Task.created_at.desc(), Task.id.desc())
    rows, last = _read_page(session, query, limit) if search is None else _search(session, query, search, limit)
    next_cursor = None if last is None else _encode([round(last.created_at.timestamp() * 1_000_000), last.id])
    rules = rules_among(session, instance_id, rows)
    tasks: list[TaskSummary] = offload_by_size(session)(lambda: [summarize_task(row, rules[row.id]) for row in rows])
    # A text that is redacted is not searched: a reader could guess it letter by letter.
    return [task for task in tasks if search is None or search.matches(task["title"], task["kind"])], next_cursor


def _read_page(session: Session, query: Select[Any], limit: int) -> tuple[Sequence[Task], Task | None]:
    """Return up to `limit` tasks, and the last of them if there are more."""
    rows = session.scalars(query.limit(limit + 1)).all()
    return rows[:limit], rows[limit - 1] if len(rows) > limit else None


def _search(session: Session, query: Select[Any], search: TextSearch, limit: int) -> tuple[Sequence[Task], Any | None]:
    """Return up to `limit` tasks of the first `MOST_EXAMINED`, and the last one examined if there may be more."""
    columns = query.with_only_columns(Task.id, Task.title, Task.kind, Task.created_at)
    examined = session.execute(columns.limit(MOST_EXAMINED)).all()
    matches = [row for row in examined if search.matches(row.title, row.kind)]
    ids = [row.id for row in matches[:limit]]
    by_id = {task.id: task for task in session.scalars(select(Task).options(*_NO_PAYLOADS).where(Task.id.in_(ids)))}
    last = matches[limit - 1] if len(matches) > limit else examined[-1] if len(examined) == MOST_EXAMINED else None
    return [by_id[task_id] for task_id in ids if task_id in by_id], last


def list_steps(session: Session, task_id: str) -> list[StepSummary]:
    """Return summaries of a task's steps, in the order in which they were first started. Raises NotFound."""
    task = _get(session, Task, task_id, "task", *_NO_PAYLOADS)
    rules = rules_among(session, task.instance_id, [task])[task.id]
    query = select(Step).options(defer(Step.output, raiseload=True)).where(Step.task_id == task_id)
    rows = session.scalars(query.order_by(Step.position)).all()
    summaries: list[StepSummary] = offload_by_size(session)(lambda: [summarize_step(row, rules) for row in rows])
    return summaries


def read_step(session: Session, task_id: str, step_id: str) -> StepView:
    """Return one step of a task, with its output. Raises NotFound."""
    row = _find(session, Step, step_id)
    if row is None or row.task_id != task_id:
        raise NotFound("there is no such step", field="step_id")
    return view_step(session, row, rules_of(session, session.get_one(Task, task_id)))


def list_agents(session: Session) -> list[AgentView]:
    """Return every agent's card, by kind."""
    return [view_agent(row) for row in session.scalars(select(Agent).order_by(Agent.kind))]


def read_agent(session: Session, kind: str) -> AgentView:
    """Return one agent's card. Raises NotFound."""
    row = _find(session, Agent, kind)
    if row is None:
        raise NotFound(f"there is no agent of kind {kind!r}", field="kind")
    return view_agent(row)


def list_schedules(
    session: Session, instance_id: str, *, limit: int, cursor: str | None = None
) -> tuple[list[ScheduleSummary], str | None]:
    """Return summaries of an instance's schedules, by name, and the cursor of the next page. Raises as `list_tasks`."""
    read_instance(session, instance_id)
    query = select(Schedule).options(defer(Schedule.input, raiseload=True)).where(Schedule.instance_id == instance_id)
    if cursor is not None:
        # The cursor has an id, because a name may contain redacted text.
        (last,) = _decode(cursor, (str,))
        after = session.scalar(select(Schedule.name).where(Schedule.id == last, Schedule.instance_id == instance_id))
        if after is None:
            raise InvalidInput("the cursor's schedule was deleted; start again from the first page", field="cursor")
        query = query.where(Schedule.name > after)
    rows = session.scalars(query.order_by(Schedule.name).limit(limit + 1)).all()
    next_cursor = _encode([rows[limit - 1].id]) if len(rows) > limit else None
    return [summarize_schedule(row, rules_for(session, row.instance_id, row.kind)) for row in rows[:limit]], next_cursor


def read_schedule(session: Session, schedule_id: str) -> ScheduleView:
    """Return one schedule. Raises NotFound."""
    row = _get(session, Schedule, schedule_id, "schedule")
    return view_schedule(session, row, rules_for(session, row.instance_id, row.kind))


def list_slots(session: Session, schedule_id: str, limit: int) -> list[SlotView]:
    """Return a schedule's latest slots, the latest first. Raises NotFound."""
    _get(session, Schedule, schedule_id, "schedule", defer(Schedule.input, raiseload=True))
    query = select(Slot).where(Slot.schedule_id == schedule_id).order_by(Slot.planned_at.desc()).limit(limit)
    return [view_row(SlotView, row) for row in session.scalars(query)]


def _find(session: Session, model: type[Row], key: str, *options: ORMOption) -> Row | None:
    # PostgreSQL raises for a key with NUL, and both drivers for a lone surrogate; no row has such a key.
    return session.get(model, key, options=options) if key == clean(key) else None


def _get(session: Session, model: type[Row], key: str, noun: str, *options: ORMOption) -> Row:
    row = _find(session, model, key, *options)
    if row is None:
        raise NotFound(f"there is no such {noun}", field=f"{noun}_id")
    return row


def _encode(parts: list[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _decode(cursor: str, shape: tuple[type, ...]) -> list[Any]:
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as fault:
        raise InvalidInput("this is not a valid cursor", field="cursor") from fault
    # PostgreSQL refuses text with NUL.
    if not isinstance(parts, list) or [type(part) for part in parts] != list(shape) or "\x00" in str(parts[-1]):
        raise InvalidInput("this is not a valid cursor", field="cursor")
    return parts


def _moment(micros: int) -> datetime:
    try:
        return datetime.fromtimestamp(micros / 1_000_000, UTC)
    except (OverflowError, ValueError, OSError) as fault:
        raise InvalidInput("this is not a valid cursor", field="cursor") from fault
