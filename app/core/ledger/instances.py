"""Creates instances, and limits how many each user may create.

The limit counts the instances that the user created and that still exist, also if they have other owners now.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.errors import Conflict, Forbidden, TooMany
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.core.tables.instances import Instance


def add_instance(change: Change, name: str, instance_id: str, epoch: str, most: int) -> Instance:
    """Store an instance with an empty log; a user who creates it becomes its owner.

    `epoch` is made once, so that a repeated transaction recognises its own row. Raises Conflict if the id is taken,
    or as `count_creation` does.
    """
    instance = change.session.get(Instance, instance_id)
    if instance is not None and instance.epoch == epoch:
        return instance
    if instance is not None:
        raise Conflict("this id is taken", field="id")
    row = Instance(id=instance_id, name=name, epoch=epoch, seq=0, min_seq=0, created_at=change.now)
    row.created_by = count_creation(change.session, change.confirm_actor(), most)
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


def count_creation(session: Session, actor: Actor, most: int) -> str | None:
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
