"""Deletes old events, and tasks that ended long ago (docs/retention.md).

Replay stays correct: the transaction that deletes events sets `min_seq` of the instance to the last of them, so that a
client that asks for one of them takes a snapshot. A task is deleted only after its last event.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.coordination.periodic_lock import acquire_periodic_lock
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.ledger.event_log import Change, Head, read_head
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.states import TERMINAL
from swallowtail.app.core.tables.instances import Instance, InstancePolicy
from swallowtail.app.core.tables.tasks import Event, Task

PRUNED = Counter("swallowtail_pruned_total", "Rows deleted because they are no longer kept", ["kind"])

#: Name of the periodic lock.
LOCK = "prune"
_ENDED = [status.value for status in TERMINAL]


@dataclass(frozen=True, slots=True)
class Policy:
    """How much an instance keeps: days of events, a number of events, days of ended tasks. None keeps everything.

    `floor` is the age in seconds below which no event is pruned.
    """

    event_days: float | None = None
    events: int | None = None
    task_days: float | None = None
    floor: float = 0.0

    @property
    def event_age(self) -> float | None:
        """Days that events are kept: at most as long as tasks, or a replay would show deleted tasks."""
        return min((days for days in (self.event_days, self.task_days) if days is not None), default=None)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many events and tasks were deleted, or would be, and the number after which replay is possible then."""

    events: int
    tasks: int
    min_seq: int


def read_policy(session: Session, settings: Settings, instance_id: str) -> Policy:
    """Return what an instance keeps: by its own policy if it has one, by the settings otherwise."""
    own = session.get(InstancePolicy, instance_id)
    event_days = settings.event_retention_days if own is None or own.event_days is None else own.event_days
    task_days = settings.task_retention_days if own is None or own.task_days is None else own.task_days
    # 0 means everything, in a setting and in a policy.
    return Policy(event_days or None, settings.event_retention_events or None, task_days or None, settings.prune_floor)


def preview_pruning(context: CallContext, instance_id: str, policy: Policy | None = None) -> Pruned:
    """Return what `prune` would delete now. Raises the errors of `prune`."""
    with context.db.read() as session:
        head, policy = _begin(session, context, instance_id, policy)
        clock = _clock(session)
        is_expired = _expired(policy, head, clock)
        first_kept = None
        if is_expired is not None:
            first_kept = session.scalar(select(func.min(Event.seq)).where(*_stored(instance_id, head), ~is_expired))
        least = head.min_seq if is_expired is None else head.seq if first_kept is None else first_kept - 1
        conditions = _ended(policy, instance_id, clock, least)
        count = select(func.count()).select_from(Task)
        tasks = 0 if conditions is None else session.scalar(count.where(*conditions)) or 0
        return Pruned(least - head.min_seq, tasks, least)


def prune(
    context: CallContext,
    instance_id: str,
    policy: Policy | None = None,
    *,
    may_continue: Callable[[], bool] = lambda: True,
) -> Pruned:
    """Delete what an instance no longer keeps, in transactions of at most `prune_batch` events or tasks.

    `policy` is that of `read_policy` by default. `may_continue` is asked between two transactions. Raises NotFound,
    Unauthenticated, Forbidden and Unavailable.
    """
    counts = {"events": 0, "tasks": 0}
    with context.db.read() as session:
        head, policy = _begin(session, context, instance_id, policy)
    least = head.min_seq
    for kind, batch in (("events", _prune_events), ("tasks", _prune_tasks)):
        is_full = True
        while is_full and (not any(counts.values()) or may_continue()):
            count, reached = _transact(context, batch, instance_id, policy, not any(counts.values()))
            is_full = count >= context.settings.prune_batch
            least = max(least, reached)
            counts[kind] += count
            PRUNED.labels(kind).inc(count)
            if is_full:
                # Other threads may write now.
                time.sleep(0)
    return Pruned(**counts, min_seq=least)


def delete_in_batches(kind: str, size: int, delete_batch: Callable[[], int], may_continue: Callable[[], bool]) -> int:
    """Delete batches until one is not full or `may_continue` returns false. Returns and counts the rows."""
    deleted, count = 0, size
    while count >= size and may_continue():
        count = delete_batch()
        deleted += count
        PRUNED.labels(kind).inc(count)
    return deleted


def prune_due(context: CallContext, may_continue: Callable[[], bool]) -> int:
    """Prune every instance that is due, if this process gets the lock. Returns how many rows. Raises Unavailable."""
    if not _is_configured(context) or not acquire_periodic_lock(context.db, LOCK, context.settings.prune_interval):
        return 0
    with context.db.read() as session:
        instances = list(session.scalars(select(Instance.id)))
    # So that the same instances are not always the last, for which no time is left.
    random.shuffle(instances)
    deleted = 0
    for instance_id in instances:
        if not may_continue():
            break
        with context.db.read() as session:
            policy = read_policy(session, context.settings, instance_id)
            has_expired = is_due(session, instance_id, policy)
        if has_expired:
            pruned = prune(context, instance_id, policy, may_continue=may_continue)
            deleted += pruned.events + pruned.tasks
    return deleted


def _is_configured(context: CallContext) -> bool:
    settings = context.settings
    if settings.event_retention_days or settings.event_retention_events or settings.task_retention_days:
        return True
    own = select(InstancePolicy.instance_id).where((InstancePolicy.event_days > 0) | (InstancePolicy.task_days > 0))
    with context.db.read() as session:
        return session.scalar(own.limit(1)) is not None


def is_due(session: Session, instance_id: str, policy: Policy) -> bool:
    """Return whether an instance has events or tasks that it no longer keeps."""
    head = read_head(session, instance_id)
    if head is None:
        return False
    clock = _clock(session)
    is_expired, conditions = _expired(policy, head, clock), _ended(policy, instance_id, clock, head.min_seq)
    if is_expired is not None:
        oldest = select(is_expired).where(*_stored(instance_id, head)).order_by(Event.seq).limit(1)
        if session.scalar(oldest):
            return True
    return conditions is not None and session.scalar(select(Task.id).where(*conditions).limit(1)) is not None


class _Overtaken(Exception):
    """The instance was pruned, or got another epoch, at the same time: this transaction is rolled back."""


_Batch = Callable[[Session, str, Policy, int], tuple[int, int]]


def _transact(context: CallContext, batch: _Batch, instance_id: str, policy: Policy, is_first: bool) -> tuple[int, int]:
    def work(change: Change) -> tuple[int, int]:
        change.require(Act.PRUNE, instance_id)
        count, least = batch(change.session, instance_id, policy, context.settings.prune_batch)
        if count and is_first:
            limits = {"event_days": policy.event_days, "events": policy.events, "task_days": policy.task_days}
            change.audit(instance_id, Act.PRUNE, "instance", instance_id, limits)
        return count, least

    try:
        return context.commit(work)
    except _Overtaken:
        return 0, 0


def _prune_events(session: Session, instance_id: str, policy: Policy, limit: int) -> tuple[int, int]:
    """Delete the oldest expired events. Returns how many, and the number of the last deleted one."""
    head = _find_head(session, instance_id)
    is_expired = _expired(policy, head, _clock(session))
    if is_expired is None:
        return 0, head.min_seq
    oldest = (
        select(Event.seq, is_expired.label("is_expired"))
        .where(*_stored(instance_id, head))
        .order_by(Event.seq)
        .limit(limit)
    )
    least = head.min_seq
    for row in session.execute(oldest):
        if not row.is_expired:
            break
        least = row.seq
    if least == head.min_seq:
        return 0, least
    _execute(session, delete(Event).where(Event.instance_id == instance_id, Event.seq <= least))
    # Last, as in the numbering of events: the two wait for each other as briefly as possible.
    same = (Instance.id == instance_id, Instance.epoch == head.epoch, Instance.min_seq == head.min_seq)
    move = _execute(session, update(Instance).where(*same).values(min_seq=least).returning(Instance.id))
    if move.one_or_none() is None:
        raise _Overtaken
    return least - head.min_seq, least


def _prune_tasks(session: Session, instance_id: str, policy: Policy, limit: int) -> tuple[int, int]:
    """Delete ended tasks whose last event is gone, with all their rows. Returns how many, and `min_seq`."""
    head = _find_head(session, instance_id)
    conditions = _ended(policy, instance_id, _clock(session), head.min_seq)
    if conditions is None:
        return 0, head.min_seq
    ids = session.scalars(select(Task.id).where(*conditions).order_by(Task.finished_at).limit(limit)).all()
    # The conditions are repeated: a task that is retried at this moment is no longer ended, and stays.
    again = (Task.id.in_(ids), Task.status.in_(_ENDED), *conditions)
    return len(_execute(session, delete(Task).where(*again).returning(Task.id)).all()), head.min_seq


def _begin(session: Session, context: CallContext, instance_id: str, policy: Policy | None) -> tuple[Head, Policy]:
    require(session, context.caller.actor, Act.PRUNE, instance_id)
    return _find_head(session, instance_id), policy or read_policy(session, context.settings, instance_id)


def _find_head(session: Session, instance_id: str) -> Head:
    head = read_head(session, instance_id)
    if head is None:
        raise NotFound("there is no such instance", field="instance_id")
    return head


def _clock(session: Session) -> datetime:
    return session.scalars(select(db_now())).one()


def _stored(instance_id: str, head: Head) -> tuple[ColumnElement[bool], ...]:
    return (Event.instance_id == instance_id, Event.seq > head.min_seq)


def _expired(policy: Policy, head: Head, clock: datetime) -> ColumnElement[bool] | None:
    """Return the condition on an event that is no longer kept; None if all are kept."""
    conditions: list[ColumnElement[bool]] = []
    if policy.event_age is not None:
        conditions.append(Event.created_at < clock - timedelta(days=policy.event_age))
    if policy.events is not None:
        conditions.append(Event.seq <= head.seq - policy.events)
    if not conditions:
        return None
    expired = conditions[0] if len(conditions) == 1 else conditions[0] | conditions[1]
    return expired & (Event.created_at <= clock - timedelta(seconds=policy.floor)) if policy.floor else expired


def _ended(policy: Policy, instance_id: str, clock: datetime, least: int) -> list[ColumnElement[bool]] | None:
    """Return the conditions on a task that is not kept once events up to `least` are gone; None if all are kept."""
    if policy.task_days is None:
        return None
    cutoff = clock - timedelta(days=policy.task_days)
    return [
        Task.instance_id == instance_id,
        # Only ended tasks have one. A condition on the status as well would make the database use another index.
        Task.finished_at < cutoff,
        Task.last_seq <= least,
    ]


def _execute(session: Session, statement: Any) -> Any:
    return session.execute(statement.execution_options(synchronize_session=False))
