"""Decides which due slots of schedules fire and submits their tasks, for `workers/beat_scheduler`.

One transaction stores a slot, its task with its outbox entry, and the schedule's next slot. It begins with a
conditional update of the schedule, so that one of two concurrent beats decides and the other has nothing to do.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.coordination.worker_registry import find_kind_warning
from swallowtail.app.core.database.database import db_now_once
from swallowtail.app.core.errors import InvalidInput, TooLarge, Unavailable
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.ledger.tasks import CheckedTask
from swallowtail.app.core.payload_redaction.rules import whole_input
from swallowtail.app.core.privacy.redaction import redact_text
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services.cron import latest_slots, next_slot
from swallowtail.app.core.services.schedules import clock, timing_of
from swallowtail.app.core.services.submissions import check_submission
from swallowtail.app.core.states import ACTIVE
from swallowtail.app.core.tables.column_encryption import cell_of
from swallowtail.app.core.tables.schedules import Schedule, Slot
from swallowtail.app.core.tables.tasks import Task
from swallowtail.app.core.tables.unreadable import is_unreadable, require_readable

log = structlog.get_logger(__name__)

FIRED, SKIPPED = "fired", "skipped"

_MICROSECOND = timedelta(microseconds=1)
#: A due slot, and the reason why it does not fire.
_Decision = tuple[datetime, str | None]


def fire_due(context: CallContext, limit: int = 100, *, at: datetime | None = None) -> int:
    """Decide the due slots of up to `limit` schedules; return the number of schedules that were decided.

    `at` replaces the database's clock. A schedule that fails is logged and tried again by the next call.
    Raises Unavailable.
    """
    overdue = Schedule.next_slot_at <= (db_now_once() if at is None else at)
    due = select(Schedule.id).where(Schedule.paused.is_(False), overdue).order_by(Schedule.next_slot_at).limit(limit)
    with context.db.read() as session:
        schedule_ids = session.scalars(due).all()
    decided = tasks = 0
    for schedule_id in schedule_ids:
        try:
            with context.db.read() as session:
                row = session.get(Schedule, schedule_id)
            if row is not None and row.next_slot_at is not None:
                tasks += _fire(context, row, at)
            decided += 1
        except Exception as fault:  # an error in one schedule must not stop the others
            if isinstance(fault, Unavailable) and not is_unreadable(fault):
                raise
            log.exception("schedule_not_fired", schedule_id=schedule_id)
    if tasks:
        context.wake_relay()
    return decided


def _fire(context: CallContext, schedule: Schedule, at: datetime | None) -> int:
    """Decide the due slots of one schedule; return the number of new tasks."""
    template = _make_template(context, schedule)
    with context.db.read() as session:
        warning = find_kind_warning(session, schedule.kind)
    if warning is not None:
        log.warning("schedule_kind_unknown", schedule_id=schedule.id, reason=warning)

    def work(change: Change) -> int:
        decisions = _advance(context, change, schedule, at)
        return sum(_store_slot(context, change, schedule, slot, reason or template) for slot, reason in decisions)

    return context.commit(work)


def _make_template(context: CallContext, row: Schedule) -> CheckedTask | str:
    """Return the task that each slot submits, or the reason why its agent rejects it now."""
    with context.db.read() as session:
        payload = require_readable(whole_input(session, row), cell_of(Schedule, row.id, "input"))
    try:
        new = NewTask(kind=row.kind, input=payload, title=row.name)
        with context.db.read() as session:
            return check_submission(session, context, row.instance_id, new, submitted_by=f"schedule:{row.id}")
    except (InvalidInput, TooLarge) as refusal:
        return redact_text(f"refused: {refusal.message}", context.db.policies.general.with_secrets_of(payload))[:200]


def _advance(context: CallContext, change: Change, schedule: Schedule, at: datetime | None) -> list[_Decision]:
    """Move the schedule past its due slots and decide these, unless another beat did so or the schedule was paused."""
    assert schedule.next_slot_at is not None
    timing, moment = timing_of(schedule), clock(change.session, at)
    most = context.settings.max_catch_up
    # One more than may fire shows whether there were more.
    due = latest_slots(timing, schedule.next_slot_at - _MICROSECOND, moment, most + 1)
    if not due:
        return []
    update_row = change.session.execute(
        update(Schedule)
        .where(Schedule.id == schedule.id, Schedule.paused.is_(False), Schedule.next_slot_at == schedule.next_slot_at)
        .values(next_slot_at=next_slot(timing, moment), last_slot_at=due[-1])
        .returning(Schedule.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if update_row is None:
        return []
    missed_before = moment - timedelta(seconds=context.settings.catch_up_after)
    return _choose(due, missed_before, schedule.catch_up, most)


def _choose(due: list[datetime], missed_before: datetime, catch_up: str, most: int) -> list[_Decision]:
    """Choose the slots that fire: those on time always, missed ones as `catch_up` says."""
    slots = on_time = [slot for slot in due if slot >= missed_before]
    if catch_up == "all":
        slots = due
    elif catch_up == "latest" and not on_time:
        slots = due[-1:]
    firing, decided = set(slots[-most:]), due[-most:]
    reasons = ["missed, as were earlier ones" if len(due) > most else "missed", *["missed"] * (len(decided) - 1)]
    return [(slot, None if slot in firing else reason) for slot, reason in zip(decided, reasons, strict=True)]


def _store_slot(
    context: CallContext, change: Change, schedule: Schedule, planned_at: datetime, template: CheckedTask | str
) -> int:
    """Store one slot, and submit its task unless there is a reason against it. Returns the number of tasks."""
    if change.session.get(Slot, (schedule.id, planned_at)) is not None:
        return 0
    reason = template if isinstance(template, str) else _find_overlap(change.session, schedule)
    slot = Slot(schedule_id=schedule.id, planned_at=planned_at, created_at=change.now)
    slot.outcome, slot.reason, slot.task_id = SKIPPED, reason or "", None
    if reason is None and isinstance(template, CheckedTask):
        task, _ = context.ledger.add_task(change, replace(template, id=str(uuid.uuid4())))
        slot.outcome, slot.task_id = FIRED, task.id
    change.session.add(slot)
    change.session.flush()
    return int(slot.outcome == FIRED)


def _find_overlap(session: Session, schedule: Schedule) -> str | None:
    """Return why a slot must not fire: the task of the previous slot is still active and must not overlap."""
    if schedule.overlap != "skip":
        return None
    last = (
        select(Task.id, Task.status)
        .join(Slot, Slot.task_id == Task.id)
        .where(Slot.schedule_id == schedule.id)
        .order_by(Slot.planned_at.desc())
        .limit(1)
    )
    task = session.execute(last).one_or_none()
    return f"task {task.id} is still {task.status}" if task is not None and task.status in ACTIVE else None
