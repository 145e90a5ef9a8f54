"""Deletes an instance and everything in it, in bounded transactions.

The first transaction removes every other member and token; then schedules go, running tasks are cancelled, and tasks,
events and the instance itself are deleted. A run that has not noticed finds that its task is gone. The audit log stays.
A deletion that was interrupted is started again. An instance that is created later under the same id has another epoch,
so that of two concurrent deletions the slower one leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import delete, func, literal, select, tuple_, update

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.permissions import require
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.states import TERMINAL
from swallowtail.app.core.tables.auth import AccessToken, Membership
from swallowtail.app.core.tables.base import Moment
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.schedules import Schedule, Slot
from swallowtail.app.core.tables.tasks import Event, Task
from swallowtail.app.core.validation import check_instance_id

T = TypeVar("T")
#: One transaction's work on the instance of this id.
_Work = Callable[[CallContext, Change, str], T]

_QUIETLY = {"synchronize_session": False}
_ENDED = [status.value for status in TERMINAL]
#: Tasks, with their steps and artifacts, in one transaction.
_TASKS = 50


@dataclass(frozen=True, slots=True)
class Removed:
    """How much was deleted."""

    tasks: int
    events: int


@dataclass(frozen=True, slots=True)
class _Doomed:
    """The instance that is being deleted; its epoch distinguishes it from a later one with the same id."""

    runtime: CallContext
    instance_id: str
    epoch: str

    def commit(self, work: _Work[T]) -> T:
        """Do one transaction's work. Raises NotFound, Conflict."""

        def guarded(change: Change) -> T:
            change.require(Act.DELETE, self.instance_id)
            # Held against others who delete it, not against those who number its events.
            if not self._hold(change, share=True):
                raise NotFound("there is no such instance", field="instance_id")
            return work(self.runtime, change, self.instance_id)

        return self.runtime.commit(guarded)

    def repeat(self, batch: _Work[int]) -> int:
        """Do one transaction after the other until there is nothing left to do; how much was done."""
        total = 0
        while done := self.commit(batch):
            total += done
        return total

    def finish(self, done: Removed) -> None:
        """Delete the instance itself. Raises NotFound, Conflict."""
        tries: list[Change] = []

        def guarded(change: Change) -> None:
            tries.append(change)
            if self._hold(change, share=False):
                _finish(change, self.instance_id, done)
            elif len(tries) == 1:
                raise NotFound("there is no such instance", field="instance_id")
            # Otherwise the commit of an earlier try, whose fate was unknown, had happened.

        self.runtime.commit(guarded)

    def _hold(self, change: Change, *, share: bool) -> bool:
        """Lock the instance until the commit; False when there is none. Raises Conflict when it is another one."""
        query = select(Instance.epoch).where(Instance.id == self.instance_id)
        found = change.session.scalar(query.with_for_update(read=share, key_share=share))
        if found is not None and found != self.epoch:
            raise Conflict("the instance's log was restarted meanwhile", field="instance_id")
        return found is not None


def delete_instance(runtime: CallContext, instance_id: str, confirm: str) -> Removed:
    """Delete an instance and everything in it. `confirm` is its id once more.

    Raises:
        InvalidInput: this is no id, or `confirm` is not the same.
        NotFound: there is no such instance for the caller, or it was deleted meanwhile.
        Conflict: its log has another epoch now; nothing of that one was deleted.
        Unauthenticated, Forbidden: the caller may not.
        Unavailable: the database stayed away; what is gone is gone, begin again.
    """
    instance_id = check_instance_id(instance_id)
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.DELETE, instance_id)
        head = read_head(session, instance_id)
    if head is None:
        raise NotFound("there is no such instance", field="instance_id")
    if confirm != instance_id:
        raise InvalidInput("confirm must be the instance's id", field="confirm")
    doomed = _Doomed(runtime, instance_id, head.epoch)
    doomed.commit(_close)
    doomed.repeat(_delete_schedules)
    _cancel_all(doomed)
    done = Removed(tasks=doomed.repeat(_delete_tasks), events=doomed.repeat(_delete_events))
    doomed.finish(done)
    runtime.db.policies.forget()
    return done


def _close(runtime: CallContext, change: Change, instance_id: str) -> None:
    """Remove every member and token but those of the caller, who may have to start the deletion again."""
    actor = runtime.caller.actor
    others = [Membership.instance_id == instance_id]
    tokens = [AccessToken.instance_id == instance_id]
    if actor.user_id is not None:
        others.append(Membership.user_id != actor.user_id)
    if actor.token_id is not None:
        tokens.append(AccessToken.id != actor.token_id)
    change.session.execute(delete(Membership).where(*others).execution_options(**_QUIETLY))
    change.session.execute(delete(AccessToken).where(*tokens).execution_options(**_QUIETLY))
    raise_version(change.session)
    change.audit(instance_id, Act.DELETE, "instance", instance_id, {"what": "begun"})


def _delete_schedules(runtime: CallContext, change: Change, instance_id: str) -> int:
    """Delete slots, and the schedules that have none any more."""
    session, most = change.session, runtime.settings.prune_batch
    mine = select(Schedule.id).where(Schedule.instance_id == instance_id)
    session.execute(
        update(Schedule)
        .where(Schedule.instance_id == instance_id)
        .values(paused=True, next_slot_at=None)
        .execution_options(**_QUIETLY)
    )
    slots = session.execute(
        select(Slot.schedule_id, Slot.planned_at).where(Slot.schedule_id.in_(mine)).limit(most)
    ).all()
    for schedule_id in {slot.schedule_id for slot in slots}:
        moments = [slot.planned_at for slot in slots if slot.schedule_id == schedule_id]
        session.execute(
            delete(Slot)
            .where(Slot.schedule_id == schedule_id, Slot.planned_at.in_(moments))
            .execution_options(**_QUIETLY)
        )
    if slots:
        return len(slots)
    ids = session.scalars(mine.limit(most)).all()
    session.execute(delete(Schedule).where(Schedule.id.in_(ids)).execution_options(**_QUIETLY))
    return len(ids)


def _cancel_all(doomed: _Doomed) -> None:
    runtime = doomed.runtime
    # The epoch in the same question: these are its tasks, and of no later instance.
    mine = (Task.instance_id == doomed.instance_id, Instance.epoch == doomed.epoch)
    query = select(Task.id, Task.created_at).join(Instance, Instance.id == Task.instance_id).where(*mine)
    # In the order of an index, so that each of the instance's tasks is passed once.
    query = query.where(Task.status.not_in(_ENDED)).order_by(Task.created_at, Task.id).limit(_TASKS)
    page, after = query, None
    while True:
        with runtime.db.read() as session:
            rows = session.execute(page).all()
        if not rows:
            return
        for task_id, _ in rows:
            try:
                runtime.commit(partial(runtime.ledger.cancel_task, task_id=task_id))
            except (Conflict, NotFound):
                # It ended by itself meanwhile.
                continue
        last = (rows[-1].created_at, rows[-1].id)
        if after is not None and last <= after:
            # A damaged moment is read as the first one there is: nothing goes on from there.
            return
        page, after = query.where(tuple_(Task.created_at, Task.id) > tuple_(literal(last[0], Moment()), last[1])), last


def _delete_tasks(runtime: CallContext, change: Change, instance_id: str) -> int:
    ids = change.session.scalars(select(Task.id).where(Task.instance_id == instance_id).limit(_TASKS)).all()
    change.session.execute(delete(Task).where(Task.id.in_(ids)).execution_options(**_QUIETLY))
    return len(ids)


def _delete_events(runtime: CallContext, change: Change, instance_id: str) -> int:
    session, most = change.session, runtime.settings.prune_batch
    stored = select(Event.seq).where(Event.instance_id == instance_id).order_by(Event.seq).limit(most).subquery()
    last, number = session.execute(select(func.max(stored.c.seq), func.count())).one()
    if not number:
        return 0
    session.execute(
        delete(Event).where(Event.instance_id == instance_id, Event.seq <= last).execution_options(**_QUIETLY)
    )
    # As everywhere: what is not stored is below `min_seq`.
    session.execute(
        update(Instance).where(Instance.id == instance_id).values(min_seq=last).execution_options(**_QUIETLY)
    )
    return int(number)


def _finish(change: Change, instance_id: str, done: Removed) -> None:
    """Delete the instance and the rows that were added meanwhile."""
    change.session.execute(delete(Instance).where(Instance.id == instance_id).execution_options(**_QUIETLY))
    raise_version(change.session)
    detail = {"what": "done", "tasks": done.tasks, "events": done.events}
    change.audit(instance_id, Act.DELETE, "instance", instance_id, detail)
