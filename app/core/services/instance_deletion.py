"""Deletes an instance and everything in it except its audit log, in bounded transactions.

The first transaction removes all other members and tokens. Then schedules are deleted, active tasks are cancelled, and
tasks, events and the instance itself are deleted. A run that is still active finds that its task is gone. Another call
continues an interrupted deletion. A later instance with the same id has another epoch, so that a slow deletion of the
earlier one leaves it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import Delete, Update, delete, func, literal, select, tuple_, update

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.schemas.instances import DeletedRows
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

_ENDED = [status.value for status in TERMINAL]
#: Tasks that one transaction deletes, with their steps and artifacts.
_TASKS = 50


def delete_instance(context: CallContext, instance_id: str, confirm: str) -> DeletedRows:
    """Delete an instance and everything in it. `confirm` is the id again.

    Raises:
        InvalidInput: an invalid id, or `confirm` differs.
        NotFound: there is no such instance for the caller, or it was deleted meanwhile.
        Conflict: its log has another epoch now.
        Unauthenticated, Forbidden: see `require`.
        Unavailable: the database is down; another call continues the deletion.
    """
    instance_id = check_instance_id(instance_id)
    with context.db.read() as session:
        require(session, context.caller.actor, Act.DELETE, instance_id)
        head = read_head(session, instance_id)
    if head is None:
        raise NotFound("there is no such instance", field="instance_id")
    if confirm != instance_id:
        raise InvalidInput("confirm must be the instance's id", field="confirm")
    deletion = _Deletion(context, instance_id, head.epoch)
    deletion.commit(deletion.close, alone=True)
    deletion.repeat(deletion.delete_schedules)
    deletion.cancel_tasks()
    deleted = DeletedRows(tasks=deletion.repeat(deletion.delete_tasks), events=deletion.repeat(deletion.delete_events))
    deletion.finish(deleted)
    context.db.policies.forget()
    return deleted


@dataclass(frozen=True, slots=True)
class _Deletion:
    """The deletion of one instance; the epoch distinguishes it from a later instance with the same id."""

    context: CallContext
    instance_id: str
    epoch: str

    def commit(self, work: Callable[[Change], T], *, alone: bool = False) -> T:
        """Do one transaction's work; `alone`: it takes permissions away. Raises Conflict, and as `require`."""

        def guarded(change: Change) -> T:
            change.require(Act.DELETE, self.instance_id)
            if alone:
                # Before the lock of the instance, as in `finish`.
                change.exclude_changes()
            # This lock excludes other deletions, but not writers that number events.
            if not self._lock(change, share=True):
                raise NotFound("there is no such instance", field="instance_id")
            return work(change)

        return self.context.commit(guarded)

    def repeat(self, batch: Callable[[Change], int]) -> int:
        """Repeat a transaction until it finds nothing to delete; return the total."""
        total = 0
        while count := self.commit(batch):
            total += count
        return total

    def close(self, change: Change) -> None:
        """Remove all members and tokens except the caller's, who may have to repeat the deletion."""
        actor = self.context.caller.actor
        others = [Membership.instance_id == self.instance_id]
        tokens = [AccessToken.instance_id == self.instance_id]
        if actor.user_id is not None:
            others.append(Membership.user_id != actor.user_id)
        if actor.token_id is not None:
            tokens.append(AccessToken.id != actor.token_id)
        _execute(change, delete(Membership).where(*others))
        _execute(change, delete(AccessToken).where(*tokens))
        raise_version(change.session)
        change.audit(self.instance_id, Act.DELETE, "instance", self.instance_id, {"what": "begun"})

    def delete_schedules(self, change: Change) -> int:
        """Pause all schedules and delete a batch of slots or, once there are none, of schedules."""
        session, most = change.session, self.context.settings.prune_batch
        schedules = select(Schedule.id).where(Schedule.instance_id == self.instance_id)
        pause = update(Schedule).where(Schedule.instance_id == self.instance_id)
        _execute(change, pause.values(paused=True, next_slot_at=None))
        slots = session.execute(
            select(Slot.schedule_id, Slot.planned_at).where(Slot.schedule_id.in_(schedules)).limit(most)
        ).all()
        for schedule_id in {slot.schedule_id for slot in slots}:
            moments = [slot.planned_at for slot in slots if slot.schedule_id == schedule_id]
            _execute(change, delete(Slot).where(Slot.schedule_id == schedule_id, Slot.planned_at.in_(moments)))
        if slots:
            return len(slots)
        ids = session.scalars(schedules.limit(most)).all()
        _execute(change, delete(Schedule).where(Schedule.id.in_(ids)))
        return len(ids)

    def cancel_tasks(self) -> None:
        """Cancel the active tasks, one per transaction."""
        # The epoch in the same query excludes tasks of a later instance.
        of_instance = (Task.instance_id == self.instance_id, Instance.epoch == self.epoch)
        query = select(Task.id, Task.created_at).join(Instance, Instance.id == Task.instance_id).where(*of_instance)
        # In the order of an index, so that each task is read once.
        query = query.where(Task.status.not_in(_ENDED)).order_by(Task.created_at, Task.id).limit(_TASKS)
        page, after = query, None
        while True:
            with self.context.db.read() as session:
                rows = session.execute(page).all()
            if not rows:
                return
            for task_id, _ in rows:
                self.commit(partial(self._cancel, task_id=task_id))
            last = (rows[-1].created_at, rows[-1].id)
            if after is not None and last <= after:
                # A damaged time is read as the earliest time: no later page can be read.
                return
            after = last
            page = query.where(tuple_(Task.created_at, Task.id) > tuple_(literal(last[0], Moment()), last[1]))

    def _cancel(self, change: Change, task_id: str) -> None:
        # A task that has ended by itself meanwhile cannot be cancelled.
        with suppress(Conflict, NotFound):
            self.context.ledger.cancel_task(change, task_id)

    def delete_tasks(self, change: Change) -> int:
        """Delete a batch of tasks; return the number."""
        ids = change.session.scalars(select(Task.id).where(Task.instance_id == self.instance_id).limit(_TASKS)).all()
        _execute(change, delete(Task).where(Task.id.in_(ids)))
        return len(ids)

    def delete_events(self, change: Change) -> int:
        """Delete a batch of events; return the number."""
        session, most = change.session, self.context.settings.prune_batch
        numbers = select(Event.seq).where(Event.instance_id == self.instance_id).order_by(Event.seq).limit(most)
        batch = numbers.subquery()
        last, number = session.execute(select(func.max(batch.c.seq), func.count())).one()
        if not number:
            return 0
        _execute(change, delete(Event).where(Event.instance_id == self.instance_id, Event.seq <= last))
        # Events that are not stored are below `min_seq`, as everywhere.
        _execute(change, update(Instance).where(Instance.id == self.instance_id).values(min_seq=last))
        return int(number)

    def finish(self, deleted: DeletedRows) -> None:
        """Delete the instance itself, and rows that were added meanwhile. Raises NotFound, Conflict."""
        attempts: list[Change] = []

        def guarded(change: Change) -> None:
            attempts.append(change)
            change.exclude_changes()
            if self._lock(change, share=False):
                change.require(Act.DELETE, self.instance_id)
                _execute(change, delete(Instance).where(Instance.id == self.instance_id))
                raise_version(change.session)
                change.audit(self.instance_id, Act.DELETE, "instance", self.instance_id, {"what": "done", **deleted})
            elif len(attempts) == 1:
                raise NotFound("there is no such instance", field="instance_id")
            # Otherwise an earlier attempt was committed although its commit seemed to fail.

        self.context.commit(guarded)

    def _lock(self, change: Change, *, share: bool) -> bool:
        """Lock the instance until the commit; return False if there is none. Raises Conflict for another epoch."""
        query = select(Instance.epoch).where(Instance.id == self.instance_id)
        epoch = change.session.scalar(query.with_for_update(read=share, key_share=share))
        if epoch is not None and epoch != self.epoch:
            raise Conflict("the instance's log was restarted meanwhile", field="instance_id")
        return epoch is not None


def _execute(change: Change, statement: Delete | Update) -> None:
    change.session.execute(statement.execution_options(synchronize_session=False))
