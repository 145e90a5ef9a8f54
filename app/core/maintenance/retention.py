"""Deletes old events, and tasks that ended long ago (docs/retention.md).

Replay stays correct: `min_seq` on the instance's row moves in the transaction that deletes the events up to it, so that a
client that asks for one of them takes a snapshot. A task goes only after its last event.
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
from swallowtail.app.core.coordination.periodic_lock import take_turn
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.ledger.event_log import Change, Head, read_head
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.states import TERMINAL
from swallowtail.app.core.tables.instances import Instance, InstancePolicy
from swallowtail.app.core.tables.tasks import Event, Task

PRUNED = Counter("swallowtail_pruned_total", "Rows deleted because they are no longer kept", ["kind"])

#: The name of the turn at pruning.
DUTY = "prune"
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
        """Days of events that are kept: never more than of tasks, or a replay would tell of tasks that are gone."""
        return min((days for days in (self.event_days, self.task_days) if days is not None), default=None)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted, or would be: how many events and tasks, and from where on replay is possible then."""

    events: int
    tasks: int
    min_seq: int


def read_policy(session: Session, settings: Settings, instance_id: str) -> Policy:
    """Return what an instance keeps: by its own policy where it has one, by the settings otherwise."""
    own = session.get(InstancePolicy, instance_id)
    event_days = settings.event_retention_days if own is None or own.event_days is None else own.event_days
    task_days = settings.task_retention_days if own is None or own.task_days is None else own.task_days
    # 0 is how a setting, and a policy against a setting, says: everything.
    return Policy(event_days or None, settings.event_retention_events or None, task_days or None, settings.prune_floor)


def foresee(runtime: CallContext, instance_id: str, policy: Policy | None = None) -> Pruned:
    """Return what `prune` would delete now. Raises what `prune` raises."""
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.PRUNE, instance_id)
        head, policy = _begin(session, runtime.settings, instance_id, policy)
        clock = _clock(session)
        gone = _expired(policy, head, clock)
        first_kept = None
        if gone is not None:
            first_kept = session.scalar(select(func.min(Event.seq)).where(*_stored(instance_id, head), ~gone))
        least = head.min_seq if gone is None else head.seq if first_kept is None else first_kept - 1
        ended = _ended(policy, instance_id, clock, least)
        tasks = 0 if ended is None else session.scalar(select(func.count()).select_from(Task).where(*ended)) or 0
        return Pruned(least - head.min_seq, tasks, least)


def prune(
    runtime: CallContext,
    instance_id: str,
    policy: Policy | None = None,
    *,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Pruned:
    """Delete what an instance no longer keeps, in transactions of at most `prune_batch` events or tasks.

    Args:
        runtime: the domain; its caller must be allowed to.
        instance_id: the instance.
        policy: what to keep; by default what `read_policy` says.
        may_go_on: asked between two transactions; what is left is for the next time.

    Raises:
        NotFound: there is no such instance.
        Unauthenticated, Forbidden: see `require`.
        Unavailable: the database stayed away.
    """
    events = tasks = 0
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.PRUNE, instance_id)
        head, policy = _begin(session, runtime.settings, instance_id, policy)
    least = head.min_seq
    for batch in (_prune_events, _prune_tasks):
        going = True
        while going and (not (events or tasks) or may_go_on()):
            is_first = not (events or tasks)
            done, reached = _transact(runtime, batch, instance_id, policy, is_first)
            going = done >= runtime.settings.prune_batch
            least = max(least, reached)
            events, tasks = (events + done, tasks) if batch is _prune_events else (events, tasks + done)
            PRUNED.labels("events" if batch is _prune_events else "tasks").inc(done)
            if going:
                # A pause in which others get to write.
                time.sleep(0)
    return Pruned(events, tasks, least)


def delete_in_batches(kind: str, size: int, delete_batch: Callable[[], int], may_go_on: Callable[[], bool]) -> int:
    """Delete batch by batch until one is not full, or there is no more time; how many rows, which are counted too."""
    deleted, done = 0, size
    while done >= size and may_go_on():
        done = delete_batch()
        deleted += done
        PRUNED.labels(kind).inc(done)
    return deleted


def prune_due(runtime: CallContext, may_go_on: Callable[[], bool]) -> int:
    """Prune every instance that has something to prune, if it is this process's turn; how much was deleted.

    Raises:
        Unavailable: the database stayed away.
    """
    if not _is_wanted(runtime) or not take_turn(runtime.db, DUTY, runtime.settings.prune_interval):
        return 0
    with runtime.db.read() as session:
        instances = list(session.scalars(select(Instance.id)))
    # When time runs out, it does not always do so before the same ones.
    random.shuffle(instances)
    deleted = 0
    for instance_id in instances:
        if not may_go_on():
            break
        with runtime.db.read() as session:
            policy = read_policy(session, runtime.settings, instance_id)
            due = is_due(session, instance_id, policy)
        if due:
            done = prune(runtime, instance_id, policy, may_go_on=may_go_on)
            deleted += done.events + done.tasks
    return deleted


def _is_wanted(runtime: CallContext) -> bool:
    settings = runtime.settings
    if settings.event_retention_days or settings.event_retention_events or settings.task_retention_days:
        return True
    own = select(InstancePolicy.instance_id).where((InstancePolicy.event_days > 0) | (InstancePolicy.task_days > 0))
    with runtime.db.read() as session:
        return session.scalar(own.limit(1)) is not None


def is_due(session: Session, instance_id: str, policy: Policy) -> bool:
    """Tell whether an instance has something that it no longer keeps."""
    head = read_head(session, instance_id)
    if head is None:
        return False
    clock = _clock(session)
    gone, ended = _expired(policy, head, clock), _ended(policy, instance_id, clock, head.min_seq)
    if gone is not None:
        oldest = select(gone).where(*_stored(instance_id, head)).order_by(Event.seq).limit(1)
        if session.scalar(oldest):
            return True
    return ended is not None and session.scalar(select(Task.id).where(*ended).limit(1)) is not None


class _Overtaken(Exception):
    """Somebody pruned, or began another epoch, at the same time: theirs stands, and this is undone."""


_Batch = Callable[[Session, str, Policy, int], tuple[int, int]]


def _transact(runtime: CallContext, batch: _Batch, instance_id: str, policy: Policy, is_first: bool) -> tuple[int, int]:
    def work(change: Change) -> tuple[int, int]:
        change.require(Act.PRUNE, instance_id)
        done, least = batch(change.session, instance_id, policy, runtime.settings.prune_batch)
        if done and is_first:
            kept = {"event_days": policy.event_days, "events": policy.events, "task_days": policy.task_days}
            change.audit(instance_id, Act.PRUNE, "instance", instance_id, kept)
        return done, least

    try:
        return runtime.commit(work)
    except _Overtaken:
        return 0, 0


def _prune_events(session: Session, instance_id: str, policy: Policy, limit: int) -> tuple[int, int]:
    """Delete the oldest events that are expired; returns how many, and the number of the last that is gone."""
    head = _find_head(session, instance_id)
    gone = _expired(policy, head, _clock(session))
    if gone is None:
        return 0, head.min_seq
    oldest = select(Event.seq, gone.label("gone")).where(*_stored(instance_id, head)).order_by(Event.seq).limit(limit)
    least = head.min_seq
    for row in session.execute(oldest):
        if not row.gone:
            break
        least = row.seq
    if least == head.min_seq:
        return 0, least
    session.execute(_quietly(delete(Event).where(Event.instance_id == instance_id, Event.seq <= least)))
    # Last, as in the numbering of events: the two wait for each other as briefly as possible.
    same = (Instance.id == instance_id, Instance.epoch == head.epoch, Instance.min_seq == head.min_seq)
    moved = session.execute(_quietly(update(Instance).where(*same).values(min_seq=least).returning(Instance.id)))
    if moved.one_or_none() is None:
        raise _Overtaken
    return least - head.min_seq, least


def _prune_tasks(session: Session, instance_id: str, policy: Policy, limit: int) -> tuple[int, int]:
    """Delete ended tasks whose last event is gone, with all that belongs to them; returns how many."""
    head = _find_head(session, instance_id)
    ended = _ended(policy, instance_id, _clock(session), head.min_seq)
    if ended is None:
        return 0, head.min_seq
    found = session.scalars(select(Task.id).where(*ended).order_by(Task.finished_at).limit(limit)).all()
    # Asked again in the statement itself: one that is retried at this moment is no longer ended, and stays.
    again = (Task.id.in_(found), Task.status.in_(_ENDED), *ended)
    dropped = session.execute(_quietly(delete(Task).where(*again).returning(Task.id)))
    return len(dropped.all()), head.min_seq


def _begin(session: Session, settings: Settings, instance_id: str, policy: Policy | None) -> tuple[Head, Policy]:
    return _find_head(session, instance_id), policy or read_policy(session, settings, instance_id)


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
    """Return the condition on an event that is no longer kept; None when all are."""
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
    """Return the conditions on a task that is no longer kept once events up to `least` are gone; None when all are."""
    if policy.task_days is None:
        return None
    cutoff = clock - timedelta(days=policy.task_days)
    return [
        Task.instance_id == instance_id,
        # Whatever has one has ended. To ask for its state too, where no task is at hand, would lead to another index.
        Task.finished_at < cutoff,
        Task.last_seq <= least,
    ]


def _quietly(statement: Any) -> Any:
    return statement.execution_options(synchronize_session=False)
