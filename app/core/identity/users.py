"""Creates, lists, disables and promotes users.

Every change is one transaction with its audit entry, and raises the permission version, so that live connections are
checked again.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound
from swallowtail.app.core.events import clean, stamp
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.schemas.identities import UserView
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.permissions import require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.auth import AccessToken, User
from swallowtail.app.core.validation import check_line

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,98}[a-z0-9])?")
_LONGEST_SUBJECT = 300


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of an identity provider; `wish` is the preferred name here."""

    issuer: str
    subject: str
    wish: str | None = None


def create_user(
    runtime: CallContext,
    name: str,
    password: str | None = None,
    *,
    is_superuser: bool = False,
    identity: Identity | None = None,
) -> UserView:
    """Create a user with a password or with an identity of a provider.

    Raises:
        Unauthenticated, Forbidden: the caller is no superuser.
        InvalidInput: the name or the password cannot be used, or there is neither a password nor an identity.
        Conflict: the name or the identity is taken.
    """
    require_outside(runtime.caller.actor, Act.MANAGE_USERS)
    name = check_name(name)
    if (password is None) == (identity is None):
        raise InvalidInput("give either a password or issuer and subject", field="password")
    kept = None if password is None else runtime.passwords.hash(runtime.passwords.check(password))
    if identity is not None:
        identity = _check_identity(identity)
    new = _new_user(name, kept, identity, is_superuser=is_superuser)
    return view_user(_store(runtime, new, partial(Change.require_outside, act=Act.MANAGE_USERS)))


def list_users(runtime: CallContext, *, limit: int, after: str | None = None) -> tuple[list[UserView], str | None]:
    """Return users by name, from after the name `after`, and the name to go on from. Raises as `create_user` does."""
    require_outside(runtime.caller.actor, Act.MANAGE_USERS)
    query = select(User).order_by(User.name)
    if after is not None:
        query = query.where(User.name > clean(after))
    with runtime.db.read() as session:
        rows = session.scalars(query.limit(limit + 1)).all()
    return [view_user(row) for row in rows[:limit]], rows[limit - 1].name if len(rows) > limit else None


def read_user(runtime: CallContext, name: str) -> UserView:
    """Return the user of a name. Raises NotFound, and as `create_user` does."""
    require_outside(runtime.caller.actor, Act.MANAGE_USERS)
    with runtime.db.read() as session:
        return view_user(_find(session, name))


def has_users(session: Session) -> bool:
    """Return whether there is any user."""
    return session.scalar(select(User.id).limit(1)) is not None


def disable_user(runtime: CallContext, name: str) -> UserView:
    """Disable a user: sessions and personal tokens are revoked, and the user's API tokens suspended.

    Raises:
        Unauthenticated, Forbidden: the caller is no superuser.
        NotFound: there is no such user.
        Conflict: the user is the last superuser.
    """

    def work(change: Change) -> User:
        change.require_outside(Act.MANAGE_USERS)
        user = _find(change.session, name)
        if user.disabled_at is None:
            _check_others(change.session, user)
            user.disabled_at = change.now
            revoke_all(change, user)
            note_user(change, "user.disable", user)
        return user

    return view_user(runtime.commit(work))


def enable_user(runtime: CallContext, name: str) -> UserView:
    """Enable a user again; revoked tokens stay revoked. Raises as `disable_user` does, except Conflict."""

    def work(change: Change) -> User:
        change.require_outside(Act.MANAGE_USERS)
        user = _find(change.session, name)
        if user.disabled_at is not None:
            user.disabled_at = None
            raise_version(change.session)
            note_user(change, "user.enable", user)
        return user

    return view_user(runtime.commit(work))


def promote_user(runtime: CallContext, name: str) -> UserView:
    """Make a user a superuser. Raises as `enable_user` does."""
    return _change_standing(runtime, name, is_superuser=True)


def demote_user(runtime: CallContext, name: str) -> UserView:
    """Make a superuser an ordinary user. Raises as `disable_user` does."""
    return _change_standing(runtime, name, is_superuser=False)


def find_or_create_user(runtime: CallContext, identity: Identity, *, provision: bool) -> User | None:
    """Return the user of a provider's identity, created if `provision` is set.

    Uses the preferred name unless it is taken.
    """
    if not 0 < len(identity.subject) <= _LONGEST_SUBJECT or identity.subject != clean(identity.subject):
        return None
    same = (User.issuer == identity.issuer, User.subject == identity.subject)
    with runtime.db.read() as session:
        user = session.scalars(select(User).where(*same)).one_or_none()
    if user is not None or not provision:
        return user
    wish = (identity.wish or "").strip().lower()
    spare = f"user-{hashlib.sha256(f'{identity.issuer} {identity.subject}'.encode()).hexdigest()[:12]}"
    for name in (wish, spare):
        if _NAME.fullmatch(name) is None:
            continue
        new = _new_user(name, None, identity, is_superuser=False)
        actor = Actor("user", new.id, name, user_id=new.id)
        try:
            return _store(runtime.by(replace(runtime.caller, actor=actor)), new, lambda change: None)
        except Conflict:
            with runtime.db.read() as session:
                user = session.scalars(select(User).where(*same)).one_or_none()
            if user is not None:
                return user
    return None


def check_name(name: object) -> str:
    """Return a name that a user may have, in lower case. Raises InvalidInput."""
    text = check_line(name, "name", longest=100).lower()
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            "name must be letters a to z, digits and . _ @ + -, a letter or digit at its ends", field="name"
        )
    return text


def view_user(user: User) -> UserView:
    """Return what callers see of a user."""
    return UserView(
        id=user.id,
        name=user.name,
        is_superuser=user.is_superuser,
        has_password=user.password_hash is not None,
        issuer=user.issuer,
        subject=user.subject,
        disabled_at=stamp(user.disabled_at),
        created_at=stamp(user.created_at),
    )


def _new_user(name: str, kept: str | None, identity: Identity | None, *, is_superuser: bool) -> User:
    return User(
        id=str(uuid.uuid4()),
        name=name,
        password_hash=kept,
        issuer=identity.issuer if identity else None,
        subject=identity.subject if identity else None,
        is_superuser=is_superuser,
        generation=1,
    )


def _check_identity(identity: Identity) -> Identity:
    issuer = check_line(identity.issuer, "issuer", longest=_LONGEST_SUBJECT)
    return Identity(issuer, check_line(identity.subject, "subject", longest=_LONGEST_SUBJECT))


def _store(runtime: CallContext, new: User, check: Callable[[Change], object]) -> User:
    def work(change: Change) -> User:
        check(change)
        known = change.session.get(User, new.id)
        if known is not None:
            # The commit of an earlier try succeeded.
            return known
        values = {column.name: getattr(new, column.name) for column in User.__table__.columns}
        row = User(**{**values, "created_at": change.now})
        change.session.add(row)
        change.session.flush()
        raise_version(change.session)
        note_user(change, "user.create", row)
        return row

    try:
        return runtime.commit(work)
    except IntegrityError:
        raise Conflict("this name, or this identity, is taken", field="name") from None


def revoke_all(change: Change, user: User) -> None:
    """Revoke a user's sessions and personal tokens. API tokens are valid while their creator is not disabled."""
    user.generation += 1
    change.session.execute(
        update(AccessToken)
        .where(AccessToken.user_id == user.id, AccessToken.kind != "front_end", AccessToken.revoked_at.is_(None))
        .values(revoked_at=change.now)
        .execution_options(synchronize_session=False)
    )
    raise_version(change.session)


def _find(session: Session, name: str) -> User:
    user = session.scalars(select(User).where(User.name == clean(name.strip().lower()))).one_or_none()
    if user is None:
        raise NotFound("there is no such user", field="name")
    return user


def _change_standing(runtime: CallContext, name: str, *, is_superuser: bool) -> UserView:
    def work(change: Change) -> User:
        change.require_outside(Act.MANAGE_USERS)
        user = _find(change.session, name)
        if user.is_superuser is not is_superuser:
            if not is_superuser:
                _check_others(change.session, user)
            user.is_superuser = is_superuser
            raise_version(change.session)
            note_user(change, "user.promote" if is_superuser else "user.demote", user)
        return user

    return view_user(runtime.commit(work))


def _check_others(session: Session, user: User) -> None:
    """Raise Conflict if the user is the last superuser."""
    able = (User.is_superuser.is_(True), User.disabled_at.is_(None))
    # Locked in one order, so that two superusers who disable each other cannot both succeed.
    ids = session.scalars(select(User.id).where(*able).order_by(User.id).with_for_update()).all()
    if list(ids) == [user.id]:
        raise Conflict("this is the last superuser", field="name")


def note_user(change: Change, action: str, user: User | None) -> None:
    """Add an audit entry about a user; None for a user that does not exist."""
    change.audit(SYSTEM_SCOPE, action, "user", user.id if user else "", {"name": user.name} if user else {})
