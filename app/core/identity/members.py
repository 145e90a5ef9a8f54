"""Lists, sets and removes the members of instances.

Every change is audited and raises the permission version, so that live connections are checked again. An instance that
has an owner always keeps one.
"""

from __future__ import annotations

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from swallowtail.app.core.events import clean, stamp
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.schemas.identities import MemberView
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.permissions import read_role, require
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from swallowtail.app.core.validation import check_instance_id, check_line

#: Roles whose members may mint tokens for front ends.
_MINTERS = (Role.ADMIN, Role.OWNER)


def list_members(runtime: CallContext, instance_id: str) -> list[MemberView]:
    """Return an instance's members by name.

    Raises:
        Unauthenticated, NotFound, Forbidden: the caller may not see them.
    """
    instance_id = check_instance_id(instance_id)
    with runtime.db.read() as session:
        require(session, runtime.caller.actor, Act.READ_MEMBERS, instance_id)
        _check_instance(session, instance_id)
        query = select(Membership, User.name).join(User, User.id == Membership.user_id)
        rows = session.execute(query.where(Membership.instance_id == instance_id).order_by(User.name)).all()
        return [_view(member, name) for member, name in rows]


def set_member(runtime: CallContext, instance_id: str, name: str, role: str) -> MemberView:
    """Give a user a role in an instance, whether or not they have one. The same role again changes nothing.

    `name` is their user id, or their name where the caller is a superuser or shares an instance with them.

    Raises:
        Unauthenticated, NotFound, Forbidden: the caller may not, or makes or changes an owner and is none.
        NotFound: the caller knows no such user.
        InvalidInput: this is no role.
        Conflict: no owner would be left.
    """
    instance_id, wanted = check_instance_id(instance_id), _check_role(role)

    def work(change: Change) -> MemberView:
        change.require(Act.MANAGE_MEMBERS, instance_id)
        _check_instance(change.session, instance_id)
        user = _find_user(change.session, runtime.caller.actor, name)
        member = _find(change.session, instance_id, user)
        before = None if member is None else Role(member.role)
        _check_owners(runtime, change.session, instance_id, before, wanted)
        if member is None:
            member = Membership(instance_id=instance_id, user_id=user.id, created_at=change.now)
            change.session.add(member)
        if before is not wanted:
            member.role = wanted.value
            change.session.flush()
            _settle(change, instance_id, user, before, wanted)
        return _view(member, user.name)

    return runtime.commit(work)


def remove_member(runtime: CallContext, instance_id: str, name: str) -> None:
    """Take a user's role away; members may always leave. Their front ends' tokens are revoked.

    Raises:
        Unauthenticated, NotFound, Forbidden: the caller may not, or removes an owner and is none.
        NotFound: there is no such member.
        Conflict: no owner would be left.
    """
    instance_id = check_instance_id(instance_id)
    actor = runtime.caller.actor

    def work(change: Change) -> None:
        leaves = actor.kind == "user" and actor.acts is None and clean(name.strip().lower()) == actor.name
        change.require(Act.READ if leaves else Act.MANAGE_MEMBERS, instance_id)
        _check_instance(change.session, instance_id)
        user = _find_user(change.session, actor, name)
        member = _find(change.session, instance_id, user)
        if member is None:
            raise NotFound("there is no such member", field="name")
        before = Role(member.role)
        _check_owners(runtime, change.session, instance_id, before, None)
        change.session.delete(member)
        change.session.flush()
        _settle(change, instance_id, user, before, None)

    runtime.commit(work)


def _check_owners(
    runtime: CallContext, session: Session, instance_id: str, before: Role | None, after: Role | None
) -> None:
    """Refuse what only owners may do, and what would leave no owner."""
    if Role.OWNER not in (before, after) or before is after:
        return
    if read_role(session, runtime.caller.actor, instance_id) is not Role.OWNER:
        raise Forbidden("only an owner may make, change or remove owners")
    if before is Role.OWNER:
        owners = (Membership.instance_id == instance_id, Membership.role == Role.OWNER.value)
        # Locked in one order, so that two who remove each other cannot both succeed.
        ids = session.scalars(select(Membership.user_id).where(*owners).order_by(Membership.user_id).with_for_update())
        if len(ids.all()) == 1:
            raise Conflict("this is the last owner; make another member an owner first", field="name")


def _settle(change: Change, instance_id: str, user: User, before: Role | None, after: Role | None) -> None:
    """Do what follows from a change: revoke what the member may no longer have given out, and tell."""
    raise_version(change.session)
    if before in _MINTERS and after not in _MINTERS:
        theirs = (AccessToken.instance_id == instance_id, AccessToken.user_id == user.id)
        change.session.execute(
            update(AccessToken)
            .where(*theirs, AccessToken.kind == "front_end", AccessToken.revoked_at.is_(None))
            .values(revoked_at=change.now)
            .execution_options(synchronize_session=False)
        )
    detail = {"name": user.name, "before": before and before.value, "after": after and after.value}
    change.audit(instance_id, Act.MANAGE_MEMBERS, "user", user.id, detail)


def _check_role(role: object) -> Role:
    try:
        return Role(str(role))
    except ValueError:
        raise InvalidInput(f"role must be one of {', '.join(Role)}", field="role") from None


def _check_instance(session: Session, instance_id: str) -> None:
    # The system itself is let in anywhere, also where there is nothing.
    if read_head(session, instance_id) is None:
        raise NotFound("there is no such instance", field="instance_id")


def _find_user(session: Session, actor: Actor, who: str) -> User:
    """Return a user by id, or by name if the caller knows them: otherwise names could be tried until one exists."""
    wanted = check_line(who, "name", longest=100).lower()
    # A name may look like the id of another user: the id counts.
    found = session.scalars(select(User).where(or_(User.id == wanted, User.name == wanted))).all()
    user = min(found, key=lambda one: one.id != wanted, default=None)
    if user is None or (user.id != wanted and not _knows(session, actor, user)):
        raise NotFound(
            "you know no such user; add somebody with whom you share no instance by their user id, "
            "which their account page and `swallowtail whoami` show",
            field="name",
        )
    return user


def _knows(session: Session, actor: Actor, user: User) -> bool:
    """Tell whether the caller may learn that there is a user of this name: superusers, and who shares an instance."""
    if actor.is_trusted or (actor.is_superuser and actor.acts is None):
        return True
    mine = select(Membership.instance_id).where(Membership.user_id == actor.user_id)
    shared = select(Membership.instance_id).where(Membership.user_id == user.id, Membership.instance_id.in_(mine))
    return session.scalar(shared.limit(1)) is not None


def _find(session: Session, instance_id: str, user: User) -> Membership | None:
    mine = (Membership.instance_id == instance_id, Membership.user_id == user.id)
    return session.scalars(select(Membership).where(*mine).with_for_update()).one_or_none()


def _view(member: Membership, name: str) -> MemberView:
    return MemberView(user_id=member.user_id, name=name, role=member.role, created_at=stamp(member.created_at))
