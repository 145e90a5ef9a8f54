"""Adds, pauses, resumes and removes schedules.

The submission of a schedule is checked when the schedule is added, and again at every slot.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound
from swallowtail.app.core.events import to_json
from swallowtail.app.core.ledger.artifacts import RedactedInput, redact_input, separate_schedule_input
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.payload_redaction.rules import rules_for
from swallowtail.app.core.process.offload import offload_for
from swallowtail.app.core.queries.views import view_schedule
from swallowtail.app.core.schemas.schedules import NewSchedule, ScheduleView
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services.cron import Cron, Interval, OneTime, Timing, check_cron, check_zone, next_slot
from swallowtail.app.core.services.submissions import check_submission
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.validation import check_instance_id, check_line, check_task_id

_LONGEST_INTERVAL = 366 * 24 * 3600.0


def add_schedule(
    context: CallContext, instance_id: str, new: NewSchedule, *, at: datetime | None = None
) -> ScheduleView:
    """Store a schedule. `at` replaces the database's clock.

    Raises:
        InvalidInput, TooLarge: names the invalid field.
        Conflict: the instance has a schedule with this name.
        Unauthenticated, NotFound, Forbidden: see `require`.
    """
    instance_id = check_instance_id(instance_id)
    with context.db.read() as session:
        require(session, context.caller.actor, Act.SCHEDULE, instance_id)
        name = check_line(new.name, "name", longest=200)
        check_submission(session, context, instance_id, NewTask(kind=new.kind, input=new.input, title=name))
        row = _make_row(instance_id, name, new)
        redacted = _show_input(session, context, row, new.input)

    def work(change: Change) -> Schedule:
        change.require(Act.SCHEDULE, instance_id)
        if read_head(change.session, instance_id) is None:
            raise NotFound("there is no such instance", field="instance_id")
        same = (Schedule.instance_id == instance_id, Schedule.name == name)
        if change.session.scalar(select(Schedule.id).where(*same)) is not None:
            raise Conflict("a schedule with this name exists", field="name")
        row.created_at = clock(change.session, at)
        row.next_slot_at = next_slot(timing_of(row), row.created_at)
        if row.next_slot_at is None:
            raise InvalidInput("run_at must be in the future", field="run_at")
        artifact = separate_schedule_input(change, context.settings, row, redacted)
        stored = change.session.merge(row)
        change.session.flush()
        if artifact is not None:
            change.session.add(artifact)
            change.session.flush()
        _note(change, "added", row)
        return stored

    try:
        return _view(context, context.commit(work))
    except IntegrityError:
        raise Conflict("a schedule with this name exists", field="name") from None


def _show_input(session: Session, context: CallContext, row: Schedule, payload: Any) -> RedactedInput:
    """Return what is shown of a new schedule's input; computed before the transaction locks anything."""
    payload = {} if payload is None else payload
    rules = replace(rules_for(session, row.instance_id, row.kind), hides_own=True)
    shown: RedactedInput = offload_for(session, payload)(
        lambda: redact_input(to_json(payload), rules, context.settings)
    )
    return shown


def pause_schedule(context: CallContext, schedule_id: str) -> ScheduleView:
    """Fire no slots until `resume_schedule`. Idempotent. Raises the errors of `require_schedule`."""
    schedule_id = check_task_id(schedule_id, "schedule_id")

    def work(change: Change) -> Schedule:
        row = _lock_own(change, schedule_id)
        if not row.paused:
            _note(change, "paused", row)
        row.paused, row.next_slot_at = True, None
        return row

    return _view(context, context.commit(work))


def resume_schedule(context: CallContext, schedule_id: str, *, at: datetime | None = None) -> ScheduleView:
    """Continue with the next slot; slots during the pause are lost. Idempotent. Raises as `pause_schedule` does."""
    schedule_id = check_task_id(schedule_id, "schedule_id")

    def work(change: Change) -> Schedule:
        row = _lock_own(change, schedule_id)
        if row.paused:
            _note(change, "resumed", row)
            row.paused, row.next_slot_at = False, next_slot(timing_of(row), clock(change.session, at))
        return row

    return _view(context, context.commit(work))


def remove_schedule(context: CallContext, schedule_id: str) -> None:
    """Delete a schedule and its slots; its tasks stay. Raises the errors of `require_schedule`."""
    schedule_id = check_task_id(schedule_id, "schedule_id")

    def work(change: Change) -> None:
        _note(change, "removed", _lock_own(change, schedule_id))
        change.session.execute(delete(Schedule).where(Schedule.id == schedule_id))

    context.commit(work)


def _note(change: Change, what: str, row: Schedule) -> None:
    change.audit(row.instance_id, Act.SCHEDULE, "schedule", row.id, {"what": what, "name": row.name})


def _view(context: CallContext, row: Schedule) -> ScheduleView:
    """Return the view of a schedule that was just written; computed after the transaction."""

    def read(session: Session) -> ScheduleView:
        return view_schedule(session, row, rules_for(session, row.instance_id, row.kind))

    view: ScheduleView = context.db.run(read, write=False)
    return view


def timing_of(row: Schedule) -> Timing:
    """Return the timing that a stored schedule describes."""
    if row.cron is not None:
        return Cron(row.cron, row.timezone)
    if row.interval_seconds is not None:
        return Interval(timedelta(seconds=row.interval_seconds), row.created_at)
    assert row.run_at is not None
    return OneTime(row.run_at)


def _make_row(instance_id: str, name: str, new: NewSchedule) -> Schedule:
    """Check the timing of a new schedule and return its row."""
    timings = {"cron": new.cron, "interval_seconds": new.interval_seconds, "run_at": new.run_at}
    kinds = [key for key, value in timings.items() if value is not None]
    if len(kinds) != 1:
        raise InvalidInput("give exactly one of cron, interval_seconds and run_at", field=kinds[1] if kinds else "cron")
    return Schedule(
        id=str(uuid.uuid4()),
        instance_id=instance_id,
        name=name,
        kind=new.kind,
        timing={"cron": "cron", "interval_seconds": "interval", "run_at": "once"}[kinds[0]],
        cron=None if new.cron is None else check_cron(check_line(new.cron, "cron", longest=200)),
        timezone=check_zone(check_line(new.timezone, "timezone", longest=64)),
        interval_seconds=_check_interval(new.interval_seconds),
        run_at=_to_utc(new.run_at),
        catch_up=new.catch_up,
        overlap=new.overlap,
        paused=False,
        last_slot_at=None,
    )


def _check_interval(seconds: float | None) -> float | None:
    if seconds is not None and not 1 <= seconds <= _LONGEST_INTERVAL:
        raise InvalidInput("interval_seconds must be at least 1 and at most a year", field="interval_seconds")
    return seconds


def _to_utc(moment: datetime | None) -> datetime | None:
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("run_at is out of range", field="run_at") from None


def _lock_own(change: Change, schedule_id: str) -> Schedule:
    """Lock and return a schedule that the caller may change."""
    change.require_schedule(Act.SCHEDULE, schedule_id)
    query = select(Schedule).where(Schedule.id == schedule_id).with_for_update()
    row = change.session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("there is no such schedule", field="schedule_id")
    return row


def clock(session: Session, at: datetime | None) -> datetime:
    """Return the time of the database's clock, or `at` in its place."""
    return at if at is not None else session.scalars(select(db_now())).one()
