"""Begins another epoch of an instance's log, as an operator does after a database was restored.

A restored log ends where it ended when the backup was made, and its next events get numbers that clients have seen on
others. The new epoch makes clients forget their position and begin with a snapshot.
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


def renew_epoch(runtime: CallContext, instance_id: str) -> Head:
    """Give an instance's log another epoch, with the events and numbers that it has; returns where it stands then.

    Raises:
        InvalidInput: this can be no instance's id.
        NotFound: there is no such instance.
        Unauthenticated, Forbidden: see `require`.
        Unavailable: the database stayed away.
    """
    instance_id = check_instance_id(instance_id)
    return _renew(runtime, instance_id, partial(Change.require, act=Act.RENEW_EPOCH, instance_id=instance_id))


def renew_every_epoch(runtime: CallContext) -> Iterator[tuple[str, Head]]:
    """Give every instance's log another epoch, one after the other; gives each id and where its log stands then.

    Raises:
        Unauthenticated, Forbidden: the caller does not keep the deployment.
        Unavailable: the database stayed away; those before have another epoch.
    """
    require_outside(runtime.caller.actor, Act.MANAGE_DEPLOYMENT)
    with runtime.db.read() as session:
        instances = session.scalars(select(Instance.id).order_by(Instance.id)).all()
    check = partial(Change.require_outside, act=Act.MANAGE_DEPLOYMENT)
    for instance_id in instances:
        try:
            yield instance_id, _renew(runtime, instance_id, check)
        except NotFound:
            # It was deleted meanwhile.
            continue


def _renew(runtime: CallContext, instance_id: str, check: Callable[[Change], object]) -> Head:
    epoch = uuid.uuid4().hex[:16]

    def work(change: Change) -> Head:
        check(change)
        session = change.session
        # Locked first: an event that is being numbered must not get the epoch that is over.
        before = session.scalar(select(Instance.epoch).where(Instance.id == instance_id).with_for_update())
        if before is None:
            raise NotFound("there is no such instance", field="instance_id")
        quietly = {"synchronize_session": False}
        session.execute(
            update(Event).where(Event.instance_id == instance_id).values(epoch=epoch).execution_options(**quietly)
        )
        session.execute(
            update(Instance).where(Instance.id == instance_id).values(epoch=epoch).execution_options(**quietly)
        )
        change.audit(instance_id, Act.RENEW_EPOCH, "instance", instance_id, {"before": before, "after": epoch})
        head = read_head(session, instance_id)
        assert head is not None
        return head

    return runtime.commit(work)
