"""Creates instances, for every entry point, and limits how many each user may create.

The limit counts the instances that the user created and that still exist, also if they have other owners now.
"""

from __future__ import annotations

import uuid

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, Forbidden, TooMany
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.schemas.instances import InstanceView
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.validation import check_instance_id, check_line


def create_instance(context: CallContext, name: str, instance_id: str | None = None) -> InstanceView:
    """Create an instance. A user who creates it becomes its owner.

    Raises:
        InvalidInput, Conflict: the name or the id is invalid, or the id is taken.
        TooMany: the caller has created as many as one user may.
        Unauthenticated, Forbidden: see `require_outside`.
    """
    epoch, own_id = uuid.uuid4().hex[:16], uuid.uuid4().hex

    def work(change: Change) -> InstanceView:
        change.require_outside(Act.CREATE_INSTANCE)
        title = check_line(name, "name", longest=200)
        new_id = own_id if instance_id is None else check_instance_id(instance_id, "id")
        return view_row(InstanceView, _add_instance(change, title, new_id, epoch, context.settings.max_user_instances))

    return context.commit(work)


def _add_instance(change: Change, name: str, instance_id: str, epoch: str, most: int) -> Instance:
    """Store an instance with an empty log; a user who creates it becomes its owner.

    `epoch` is made once, so that a repeated transaction recognises its own row. Raises Conflict if the id is taken,
    or as `_count_creation` does.
    """
    instance = change.session.get(Instance, instance_id)
    if instance is not None and instance.epoch == epoch:
        return instance
    if instance is not None:
        raise Conflict("this id is taken", field="id")
    row = Instance(id=instance_id, name=name, epoch=epoch, seq=0, min_seq=0, created_at=change.now)
    row.created_by = _count_creation(change.session, change.confirm_actor(), most)
    try:
        with change.session.begin_nested():
            change.session.add(row)
            change.session.flush()
    except IntegrityError:
        raise Conflict("this id is taken", field="id") from None
    change.audit(instance_id, Act.CREATE_INSTANCE, "instance", instance_id, {"name": name})
    if row.created_by is not None:
        owner = Membership(instance_id=instance_id, user_id=row.created_by, role=Role.OWNER.value)
        owner.created_at = change.now
        change.session.add(owner)
    return row


def _count_creation(session: Session, actor: Actor, most: int) -> str | None:
    """Return the id of the user who creates an instance; None for the system and without sign-in.

    Raises Forbidden if only superusers, who have no limit, may create instances; TooMany after `most` instances.
    """
    user_id = actor.user_id
    if user_id is None or actor.is_superuser:
        return user_id
    if most == 0:
        raise Forbidden("only superusers can create instances")
    # Locked, so that of two simultaneous creations the second counts the first.
    session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
    count = session.scalar(select(func.count()).select_from(Instance).where(Instance.created_by == user_id)) or 0
    if count >= most:
        raise TooMany(
            f"you have created {count} instances and may have {most} at once; delete one first, or ask an operator"
        )
    return user_id
