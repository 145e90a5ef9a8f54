"""Makes the first superuser the owner of the demo instance, which a release creates without one."""

from __future__ import annotations

from sqlalchemy import select

from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.tables.auth import Membership, User


def give_demo(change: Change, instance_id: str, user: User) -> None:
    """Make a new superuser the owner of the demo instance, unless it has an owner or does not exist.

    Call it when the transaction has locked the permission version: of two new superusers, one becomes the owner.
    """
    if not instance_id or read_head(change.session, instance_id) is None:
        return
    owners = select(Membership.user_id).where(
        Membership.instance_id == instance_id, Membership.role == Role.OWNER.value
    )
    if change.session.scalar(owners.limit(1)) is not None:
        return
    member = change.session.get(Membership, (instance_id, user.id))
    before = None if member is None else member.role
    if member is None:
        member = Membership(instance_id=instance_id, user_id=user.id, created_at=change.now)
        change.session.add(member)
    member.role = Role.OWNER.value
    change.session.flush()
    detail = {"name": user.name, "before": before, "after": member.role}
    change.audit(instance_id, Act.MANAGE_MEMBERS, "user", user.id, detail)
