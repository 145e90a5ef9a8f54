"""Starts a new epoch of an instance's log, for an operator who has restored the database from a backup.

A restored log ends where the backup ended, and its next events get numbers that clients have already seen on other
events. The new epoch makes clients discard their position and begin with a snapshot.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial

from sqlalchemy import select, update

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.ledger.event_log import Change, Head, read_head
from swallowtail.app.core.security.permissions import require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Event
from swallowtail.app.core.validation import check_instance_id


def renew_epoch(context: CallContext, instance_id: str) -> Head:
    """Start a new epoch; events and numbers are kept. Returns the head of the log in the new epoch.

    Raises:
        InvalidInput, NotFound: there is no such instance.
        Unauthenticated, Forbidden: see `require`.
        Unavailable: the database is down.
    """
    instance_id = check_instance_id(instance_id)
    return _renew(context, instance_id, partial(Change.require, act=Act.RENEW_EPOCH, instance_id=instance_id))


def renew_every_epoch(context: CallContext) -> Iterator[tuple[str, Head]]:
    """Start a new epoch in one instance after the other; yields each id with the head of its log.

    Raises:
        Unauthenticated, Forbidden: see `require_outside`.
        Unavailable: the database is down; the instances that were yielded have their new epoch.
    """
    require_outside(context.caller.actor, Act.MANAGE_DEPLOYMENT)
    with context.db.read() as session:
        instances = session.scalars(select(Instance.id).order_by(Instance.id)).all()
    check = partial(Change.require_outside, act=Act.MANAGE_DEPLOYMENT)
    for instance_id in instances:
        try:
            yield instance_id, _renew(context, instance_id, check)
        except NotFound:
            # It was deleted meanwhile.
            continue


def _renew(context: CallContext, instance_id: str, check: Callable[[Change], object]) -> Head:
    epoch = uuid.uuid4().hex[:16]

    def work(change: Change) -> Head:
        check(change)
        session = change.session
        # Locked first: an event that is being numbered must not get the old epoch.
        before = session.scalar(select(Instance.epoch).where(Instance.id == instance_id).with_for_update())
        if before is None:
            raise NotFound("there is no such instance", field="instance_id")
        for renewed in (
            update(Event).where(Event.instance_id == instance_id).values(epoch=epoch),
            update(Instance).where(Instance.id == instance_id).values(epoch=epoch),
        ):
            session.execute(renewed.execution_options(synchronize_session=False))
        change.audit(instance_id, Act.RENEW_EPOCH, "instance", instance_id, {"before": before, "after": epoch})
        head = read_head(session, instance_id)
        assert head is not None
        return head

    return context.commit(work)
