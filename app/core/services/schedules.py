"""Adds, pauses, resumes and removes schedules.

The submission of a schedule is checked when the schedule is added, and again at every slot.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound
from swallowtail.app.core.events import to_json
from swallowtail.app.core.ledger.artifacts import ShownInput, separate_schedule_input, show_input
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.payload_redaction.rules import rules_for
from swallowtail.app.core.process.worker_thread import place_for
from swallowtail.app.core.queries.views import view_schedule
from swallowtail.app.core.schemas.schedules import ScheduleView
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services.cron import Cron, Interval, Once, Timing, check_cron, check_zone, next_slot
from swallowtail.app.core.services.submissions import Submission, check_submission
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.validation import check_instance_id, check_line, check_task_id

CatchUp = Literal["skip", "latest", "all"]
Overlap = Literal["allow", "skip"]

_CATCH_UP = ("skip", "latest", "all")
_OVERLAP = ("allow", "skip")
_LONGEST_INTERVAL = 366 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule to add: exactly one of `cron`, `interval_seconds` and `run_at` is given.

    `run_at` is an aware moment; `timezone` is the IANA name of the clock that `cron` is read from.
    """

    instance_id: str
    name: str
    kind: str
    input: Any = None
    cron: str | None = None
    interval_seconds: float | None = None
    run_at: datetime | None = None
    timezone: str = "UTC"
    catch_up: CatchUp = "latest"
    overlap: Overlap = "allow"


def add_schedule(runtime: CallContext, wanted: NewSchedule, *, at: datetime | None = None) -> ScheduleView:
    """Store a schedule. `at` stands in for the database's clock.

    Raises:
        InvalidInput, TooLarge: names the field that is wrong.
        NotFound: there is no such instance.
        Conflict: the instance has a schedule of this name.
    """
    instance_id = check_instance_id(wanted.instance_id)
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.SCHEDULE, instance_id)
        name = check_line(wanted.name, "name", longest=200)
        check_submission(session, runtime, Submission(instance_id, wanted.kind, wanted.input, title=name))
        row = _row(wanted, name)
        shown = _tell(session, runtime, row, wanted.input)

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
            raise InvalidInput("run_at must lie in the future", field="run_at")
        apart = separate_schedule_input(change, runtime.settings, row, shown)
        stored = change.session.merge(row)
        change.session.flush()
        if apart is not None:
            change.session.add(apart)
            change.session.flush()
        _note(change, "added", row)
        return stored

    try:
        return _view(runtime, runtime.commit(work))
    except IntegrityError:
        raise Conflict("a schedule with this name exists", field="name") from None


def _tell(session: Session, runtime: CallContext, row: Schedule, payload: Any) -> ShownInput:
    """Return what is shown of a new schedule's input, computed before anything is locked."""
    payload = {} if payload is None else payload
    rules = rules_for(session, row.instance_id, row.kind)
    shown: ShownInput = place_for(session, payload)(
        lambda: show_input(to_json(payload), rules, runtime.settings, learning=True)
    )
    return shown


def pause_schedule(runtime: CallContext, schedule_id: str) -> ScheduleView:
    """Let no slot come until `resume_schedule`. Pausing again changes nothing. Raises InvalidInput, NotFound."""
    schedule_id = check_task_id(schedule_id, "schedule_id")

    def work(change: Change) -> Schedule:
        row = _lock_own(change, schedule_id)
        if not row.paused:
            _note(change, "paused", row)
        row.paused, row.next_slot_at = True, None
        return row

    return _view(runtime, runtime.commit(work))


def resume_schedule(runtime: CallContext, schedule_id: str, *, at: datetime | None = None) -> ScheduleView:
    """Go on with the first slot from now; those of the pause are gone. Raises InvalidInput, NotFound."""
    schedule_id = check_task_id(schedule_id, "schedule_id")

    def work(change: Change) -> Schedule:
        row = _lock_own(change, schedule_id)
        if row.paused:
            _note(change, "resumed", row)
            row.paused, row.next_slot_at = False, next_slot(timing_of(row), clock(change.session, at))
        return row

    return _view(runtime, runtime.commit(work))


def remove_schedule(runtime: CallContext, schedule_id: str) -> None:
    """Forget a schedule and its slots; the tasks that it submitted stay. Raises InvalidInput, NotFound."""
    schedule_id = check_task_id(schedule_id, "schedule_id")

    def work(change: Change) -> None:
        _note(change, "removed", _lock_own(change, schedule_id))
        change.session.execute(delete(Schedule).where(Schedule.id == schedule_id))

    runtime.commit(work)


def _note(change: Change, what: str, row: Schedule) -> None:
    change.audit(row.instance_id, Act.SCHEDULE, "schedule", row.id, {"what": what, "name": row.name})


def _view(runtime: CallContext, row: Schedule) -> ScheduleView:
    """Return the view of a schedule that was just written, made when nothing is locked any more."""

    def read(session: Session) -> ScheduleView:
        return view_schedule(session, row, rules_for(session, row.instance_id, row.kind))

    view: ScheduleView = runtime.db.run(read, write=False)
    return view


def timing_of(row: Schedule) -> Timing:
    """Return the timing that a stored schedule describes."""
    if row.cron is not None:
        return Cron(row.cron, row.timezone)
    if row.interval_seconds is not None:
        return Interval(timedelta(seconds=row.interval_seconds), row.created_at)
    assert row.run_at is not None
    return Once(row.run_at)


def _row(wanted: NewSchedule, name: str) -> Schedule:
    """The row of a schedule, with everything about it checked but its submission."""
    given = {"cron": wanted.cron, "interval_seconds": wanted.interval_seconds, "run_at": wanted.run_at}
    chosen = [key for key, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise InvalidInput(
            "give exactly one of cron, interval_seconds and run_at", field=chosen[1] if chosen else "cron"
        )
    return Schedule(
        id=str(uuid.uuid4()),
        instance_id=wanted.instance_id,
        name=name,
        kind=wanted.kind,
        timing={"cron": "cron", "interval_seconds": "interval", "run_at": "once"}[chosen[0]],
        cron=None if wanted.cron is None else check_cron(check_line(wanted.cron, "cron", longest=200)),
        timezone=check_zone(check_line(wanted.timezone, "timezone", longest=64)),
        interval_seconds=_checked_interval(wanted.interval_seconds),
        run_at=_checked_moment(wanted.run_at),
        catch_up=_checked_choice(wanted.catch_up, "catch_up", _CATCH_UP),
        overlap=_checked_choice(wanted.overlap, "overlap", _OVERLAP),
        paused=False,
        last_slot_at=None,
    )


def _checked_interval(seconds: Any) -> float | None:
    if seconds is None:
        return None
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or not 1 <= seconds <= _LONGEST_INTERVAL:
        raise InvalidInput("interval_seconds must be at least 1 and at most a year", field="interval_seconds")
    return float(seconds)


def _checked_moment(moment: Any) -> datetime | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidInput("run_at must be a moment with its offset, such as 2030-01-31T08:00:00Z", field="run_at")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("run_at is out of range", field="run_at") from None


def _checked_choice(value: Any, field: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise InvalidInput(f"{field} must be one of {', '.join(choices)}", field=field)
    return str(value)


def _lock_own(change: Change, schedule_id: str) -> Schedule:
    """Return a schedule that the caller may change, locked."""
    change.require_schedule(Act.SCHEDULE, schedule_id)
    query = select(Schedule).where(Schedule.id == schedule_id).with_for_update()
    row = change.session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("there is no such schedule", field="schedule_id")
    return row


def clock(session: Session, at: datetime | None) -> datetime:
    """Return the database's clock, or what stands in for it."""
    return at if at is not None else session.scalars(select(db_now())).one()
