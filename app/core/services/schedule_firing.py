"""Decides the due slots of schedules and submits their tasks, for `workers/beat_scheduler`.

A slot is decided in one transaction: its row, its task with its outbox entry, and the schedule's next slot. The
schedule's row is moved on first and conditionally, so that of two beats one decides and the other finds nothing to do.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.coordination.worker_registry import find_doubt
from swallowtail.app.core.database.database import db_now_once
from swallowtail.app.core.errors import InvalidInput, TooLarge, Unavailable
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.tasks import NewTask
from swallowtail.app.core.payload_redaction.rules import whole_input
from swallowtail.app.core.privacy.text_redaction import redact_text
from swallowtail.app.core.services.cron import latest_slots, next_slot
from swallowtail.app.core.services.schedules import clock, timing_of
from swallowtail.app.core.services.submissions import Submission, check_submission
from swallowtail.app.core.states import ACTIVE
from swallowtail.app.core.tables.column_encryption import place_of
from swallowtail.app.core.tables.schedules import Schedule, Slot
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.tables.unreadable import is_unreadable, sound

log = structlog.get_logger(__name__)

FIRED, SKIPPED = "fired", "skipped"

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Decision:
    """The decision about one slot; `reason` says why it does not fire."""

    planned_at: datetime
    reason: str | None = None


def fire_due(runtime: CallContext, limit: int = 100, *, at: datetime | None = None) -> int:
    """Decide every due slot of up to `limit` schedules and return how many schedules were decided.

    `at` stands in for the database's clock. A schedule that cannot be fired is logged and left for the next look; it
    keeps no other from its slots.

    Raises:
        Unavailable: the database stayed away.
    """
    overdue = Schedule.next_slot_at <= (db_now_once() if at is None else at)
    due = select(Schedule.id).where(Schedule.paused.is_(False), overdue).order_by(Schedule.next_slot_at).limit(limit)
    with runtime.db.read() as session:
        found = session.scalars(due).all()
    decided = tasks = 0
    for schedule_id in found:
        try:
            with runtime.db.read() as session:
                row = session.get(Schedule, schedule_id)
            if row is not None and row.next_slot_at is not None:
                tasks += _fire(runtime, row, at)
            decided += 1
        except Exception as fault:  # an error in one schedule must not stop the others
            if isinstance(fault, Unavailable) and not is_unreadable(fault):
                raise
            log.exception("schedule_not_fired", schedule_id=schedule_id)
    if tasks:
        runtime.hurry()
    return decided


def _fire(runtime: CallContext, seen: Schedule, at: datetime | None) -> int:
    """Decide the due slots of one schedule; return how many tasks that made."""
    template = _template(runtime, seen)
    with runtime.db.read() as session:
        doubt = find_doubt(session, seen.kind)
    if doubt is not None:
        log.warning("schedule_in_doubt", schedule_id=seen.id, reason=doubt)

    def work(change: Change) -> int:
        decisions = _advance(runtime, change, seen, at)
        return sum(_carry_out(runtime, change, seen, decision, template) for decision in decisions)

    return runtime.commit(work)


def _template(runtime: CallContext, row: Schedule) -> NewTask | str:
    """The task that each slot submits, or why its agent would not take it any more."""
    with runtime.db.read() as session:
        given = sound(whole_input(session, row), place_of(Schedule, row.id, "input"))
    wanted = Submission(row.instance_id, row.kind, given, title=row.name, submitted_by=f"schedule:{row.id}")
    try:
        with runtime.db.read() as session:
            return check_submission(session, runtime, wanted)
    except (InvalidInput, TooLarge) as refused:
        return redact_text(f"refused: {refused.message}", runtime.db.policies.general.hiding(given))[:200]


def _advance(runtime: CallContext, change: Change, seen: Schedule, at: datetime | None) -> list[_Decision]:
    """Move the schedule past its due slots, unless another beat has done so or it was paused, and decide these."""
    assert seen.next_slot_at is not None
    timing, moment = timing_of(seen), clock(change.session, at)
    most = runtime.settings.max_catch_up
    # One more than may fire, to know whether there were even more.
    due = latest_slots(timing, seen.next_slot_at - _MICROSECOND, moment, most + 1)
    if not due:
        return []
    moved = change.session.execute(
        update(Schedule)
        .where(Schedule.id == seen.id, Schedule.paused.is_(False), Schedule.next_slot_at == seen.next_slot_at)
        .values(next_slot_at=next_slot(timing, moment), last_slot_at=due[-1])
        .returning(Schedule.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if moved is None:
        return []
    missed_before = moment - timedelta(seconds=runtime.settings.catch_up_after)
    return _choose(due, missed_before, seen.catch_up, most)


def _choose(due: list[datetime], missed_before: datetime, catch_up: str, most: int) -> list[_Decision]:
    """Which of the due slots fire. Those on time always do; of those that were missed, what `catch_up` asks for."""
    on_time = [slot for slot in due if slot >= missed_before]
    if catch_up == "all":
        chosen = due
    elif catch_up == "latest" and not on_time:
        chosen = due[-1:]
    else:
        chosen = on_time
    firing = set(chosen[-most:])
    earlier = "missed, as were earlier ones" if len(due) > most else "missed"
    decided = due[-most:]
    reasons = [earlier, *["missed"] * (len(decided) - 1)]
    return [_Decision(s, None if s in firing else reason) for s, reason in zip(decided, reasons, strict=True)]


def _carry_out(
    runtime: CallContext, change: Change, schedule: Schedule, decision: _Decision, template: NewTask | str
) -> int:
    """Write down one slot and, if it fires, submit its task. Returns the number of tasks."""
    known = change.session.get(Slot, (schedule.id, decision.planned_at))
    if known is not None:
        return 0
    slot = Slot(schedule_id=schedule.id, planned_at=decision.planned_at, created_at=change.now)
    reason = decision.reason or (template if isinstance(template, str) else _overlap(change.session, schedule))
    if reason is None and isinstance(template, NewTask):
        task, _ = runtime.ledger.add_task(change, replace(template, id=str(uuid.uuid4())))
        slot.outcome, slot.reason, slot.task_id = FIRED, "", task.id
    else:
        slot.outcome, slot.reason, slot.task_id = SKIPPED, reason or "", None
    change.session.add(slot)
    change.session.flush()
    return 1 if slot.outcome == FIRED else 0


def _overlap(session: Session, schedule: Schedule) -> str | None:
    """Why a slot may not fire beside the task of the last one that did, if it may not."""
    if schedule.overlap != "skip":
        return None
    last = (
        select(Task.id, Task.status)
        .join(Slot, Slot.task_id == Task.id)
        .where(Slot.schedule_id == schedule.id)
        .order_by(Slot.planned_at.desc())
        .limit(1)
    )
    found = session.execute(last).one_or_none()
    return f"task {found.id} is still {found.status}" if found is not None and found.status in ACTIVE else None
