"""Lists, sets and removes the members of instances.

Every change is audited and raises the permission version, so that live connections are checked again. An instance with
owners always keeps one.
"""

from __future__ import annotations

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from swallowtail.app.core.events import clean
from swallowtail.app.core.ledger.event_log import Change, read_head
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.schemas.identities import MemberView
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.permissions import read_role, require
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.tables.auth import AccessToken, Membership, User
from swallowtail.app.core.validation import check_instance_id, check_line

#: Roles whose members may create API tokens.
_TOKEN_ROLES = (Role.ADMIN, Role.OWNER)


def list_members(context: CallContext, instance_id: str) -> list[MemberView]:
    """Return an instance's members by name. Raises Unauthenticated, NotFound, Forbidden."""
    instance_id = check_instance_id(instance_id)
    with context.db.read() as session:
        require(session, context.caller.actor, Act.READ_MEMBERS, instance_id)
        _check_instance(session, instance_id)
        query = select(Membership, User.name).join(User, User.id == Membership.user_id)
        rows = session.execute(query.where(Membership.instance_id == instance_id).order_by(User.name)).all()
        return [view_row(MemberView, member, name=name) for member, name in rows]


def set_member(context: CallContext, instance_id: str, name: str, role: str) -> MemberView:
    """Set the role of a user in an instance; the same role again changes nothing.

    `name` is the user's id, or the name if the caller is a superuser or shares an instance with the user.
    Raises Unauthenticated, Forbidden, NotFound, InvalidInput, and Conflict if no owner would be left.
    """
    instance_id = check_instance_id(instance_id)

    def work(change: Change) -> MemberView:
        change.require(Act.MANAGE_MEMBERS, instance_id)
        new_role = _check_role(role)
        change.exclude_changes()
        _check_instance(change.session, instance_id)
        user = _find_user(change, name)
        member = _find(change.session, instance_id, user)
        before = None if member is None else Role(member.role)
        _check_owners(change, instance_id, before, new_role)
        if member is None:
            member = Membership(instance_id=instance_id, user_id=user.id, created_at=change.now)
            change.session.add(member)
        if before is not new_role:
            member.role = new_role.value
            change.session.flush()
            _record_role(change, instance_id, user, before, new_role)
        return view_row(MemberView, member, name=user.name)

    return context.commit(work)


def remove_member(context: CallContext, instance_id: str, name: str) -> None:
    """Remove a member, whose API tokens are revoked; members may remove themselves. Raises as `set_member` does."""
    instance_id = check_instance_id(instance_id)

    def work(change: Change) -> None:
        actor, text = change.confirm_actor(), clean(name.strip().lower())
        leaves = actor.kind == "user" and actor.acts is None and text in (actor.name, actor.user_id)
        change.require(Act.READ if leaves else Act.MANAGE_MEMBERS, instance_id)
        change.exclude_changes()
        _check_instance(change.session, instance_id)
        user = _find_user(change, name)
        if leaves and user.id != actor.user_id:
            # The caller's name may be the id of another user.
            change.require(Act.MANAGE_MEMBERS, instance_id)
        member = _find(change.session, instance_id, user)
        if member is None:
            raise NotFound("there is no such member", field="name")
        before = Role(member.role)
        _check_owners(change, instance_id, before, None)
        change.session.delete(member)
        change.session.flush()
        _record_role(change, instance_id, user, before, None)

    context.commit(work)


def _check_owners(change: Change, instance_id: str, before: Role | None, after: Role | None) -> None:
    """Refuse what only owners may do, and what would leave no owner."""
    if Role.OWNER not in (before, after) or before is after:
        return
    if read_role(change.session, change.confirm_actor(), instance_id) is not Role.OWNER:
        raise Forbidden("only an owner may make, change or remove owners")
    if before is Role.OWNER:
        owners = (Membership.instance_id == instance_id, Membership.role == Role.OWNER.value)
        if len(change.session.scalars(select(Membership.user_id).where(*owners).limit(2)).all()) == 1:
            raise Conflict("this is the last owner; make another member an owner first", field="name")


def _record_role(change: Change, instance_id: str, user: User, before: Role | None, after: Role | None) -> None:
    """Raise the permission version, revoke the API tokens that the user may no longer create, and audit the change."""
    raise_version(change.session)
    if before in _TOKEN_ROLES and after not in _TOKEN_ROLES:
        tokens_of_member = (AccessToken.instance_id == instance_id, AccessToken.user_id == user.id)
        change.session.execute(
            update(AccessToken)
            .where(*tokens_of_member, AccessToken.kind == "front_end", AccessToken.revoked_at.is_(None))
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
    # `require` allows the system and open deployments everything, even in instances that do not exist.
    if read_head(session, instance_id) is None:
        raise NotFound("there is no such instance", field="instance_id")


def _find_user(change: Change, name: str) -> User:
    """Return a user by id, or by name if the caller may know it: other callers must not find out which names exist."""
    text = check_line(name, "name", longest=100).lower()
    # A name may look like the id of another user: the id takes precedence.
    users = change.session.scalars(select(User).where(or_(User.id == text, User.name == text))).all()
    user = min(users, key=lambda one: one.id != text, default=None)
    if user is None or (user.id != text and not _may_know(change, user)):
        raise NotFound(
            "you know no such user; add a user with whom you share no instance by user id, "
            "which their account page and `swallowtail whoami` show",
            field="name",
        )
    return user


def _may_know(change: Change, user: User) -> bool:
    """Return whether the caller may know a user's name: superusers, and users who share an instance."""
    actor = change.confirm_actor()
    if actor.is_trusted or (actor.is_superuser and actor.acts is None):
        return True
    own = select(Membership.instance_id).where(Membership.user_id == actor.user_id)
    shared = select(Membership.instance_id).where(Membership.user_id == user.id, Membership.instance_id.in_(own))
    return change.session.scalar(shared.limit(1)) is not None


def _find(session: Session, instance_id: str, user: User) -> Membership | None:
    key = (Membership.instance_id == instance_id, Membership.user_id == user.id)
    return session.scalars(select(Membership).where(*key)).one_or_none()
