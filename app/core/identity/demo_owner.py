"""Makes the first superuser the owner of the demo instance, whichever of the two is created first."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.tables.auth import Membership, User


def give_demo(change: Change, instance_id: str, user: User) -> None:
    """Make a new superuser the owner of the demo instance, unless it has an owner or does not exist.

    Call it when the transaction has locked the permission version: of two new superusers, one becomes the owner.
    """
    if not instance_id or read_head(change.session, instance_id) is None:
        return
    if _has_owner(change.session, instance_id):
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


def give_demo_to_first(context: CallContext, instance_id: str) -> None:
    """Make the earliest enabled superuser the owner of the demo instance, unless it has an owner or there is none."""

    def work(change: Change) -> None:
        query = select(User).where(User.is_superuser, User.disabled_at.is_(None)).order_by(User.created_at, User.id)
        if read_head(change.session, instance_id) is None or _has_owner(change.session, instance_id):
            return
        if (user := change.session.scalar(query.limit(1))) is not None:
            raise_version(change.session)
            give_demo(change, instance_id, user)

    context.commit(work)


def _has_owner(session: Session, instance_id: str) -> bool:
    owners = select(Membership.user_id).where(
        Membership.instance_id == instance_id, Membership.role == Role.OWNER.value
    )
    return session.scalar(owners.limit(1)) is not None
