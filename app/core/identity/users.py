"""Creates, lists, disables and promotes users.

Every change is one transaction with its audit entry, and raises the permission version, so that live connections are
checked again.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Self

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound
from swallowtail.app.core.events import clean
from swallowtail.app.core.identity.demo_owner import give_demo
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.schemas.fields import view_row
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
    """A user of an identity provider."""

    issuer: str
    subject: str
    preferred_name: str | None = None

    @classmethod
    def of_claims(cls, issuer: str, claims: Mapping[str, Any]) -> Self:
        """Return the identity in the verified claims of a token."""
        name = claims.get("preferred_username") or claims.get("email")
        return cls(issuer, claims["sub"], name if isinstance(name, str) else None)


def user_actor(user: User, *, expires_at: datetime | None = None) -> Actor:
    """Return the actor of a user with all of the user's permissions."""
    return Actor("user", user.id, user.name, user_id=user.id, is_superuser=user.is_superuser, expires_at=expires_at)


def create_user(
    context: CallContext,
    name: str,
    password: str | None = None,
    *,
    is_superuser: bool = False,
    identity: Identity | None = None,
) -> UserView:
    """Create a user with a password or with an identity of a provider.

    A superuser becomes the owner of the demo instance if it has none.

    Raises Unauthenticated, Forbidden, InvalidInput, and Conflict if the name or the identity is taken.
    """
    # Before the costly hash; the transaction checks it again.
    require_outside(context.caller.actor, Act.MANAGE_USERS)
    name = check_name(name)
    if (password is None) == (identity is None):
        raise InvalidInput("pass either a password or issuer and subject", field="password")
    password_hash = None if password is None else context.passwords.hash(context.passwords.check(password))
    if identity is not None:
        issuer = check_line(identity.issuer, "issuer", longest=_LONGEST_SUBJECT)
        identity = Identity(issuer, check_line(identity.subject, "subject", longest=_LONGEST_SUBJECT))
    values = {**_new_values(name, identity), "password_hash": password_hash, "is_superuser": is_superuser}
    return view_user(_store(context, values, partial(Change.require_outside, act=Act.MANAGE_USERS)))


def list_users(context: CallContext, *, limit: int, after: str | None = None) -> tuple[list[UserView], str | None]:
    """Return users by name, from after the name `after`, and the name to go on from. Raises as `create_user` does."""
    require_outside(context.caller.actor, Act.MANAGE_USERS)
    query = select(User).order_by(User.name)
    if after is not None:
        query = query.where(User.name > clean(after))
    with context.db.read() as session:
        rows = session.scalars(query.limit(limit + 1)).all()
    return [view_user(row) for row in rows[:limit]], rows[limit - 1].name if len(rows) > limit else None


def read_user(context: CallContext, name: str) -> UserView:
    """Return the user of a name. Raises NotFound, and as `create_user` does."""
    require_outside(context.caller.actor, Act.MANAGE_USERS)
    with context.db.read() as session:
        return view_user(_find(session, name))


def has_users(session: Session) -> bool:
    """Return whether there is any user."""
    return session.scalar(select(User.id).limit(1)) is not None


def disable_user(context: CallContext, name: str) -> UserView:
    """Disable a user: sessions and personal tokens are revoked, and the user's API tokens suspended.

    Raises Unauthenticated, Forbidden, NotFound, and Conflict for the last superuser.
    """

    def disable(change: Change, user: User) -> str | None:
        if user.disabled_at is not None:
            return None
        _check_others(change.session, user)
        user.disabled_at = change.now
        revoke_all(change, user)
        return "user.disable"

    return _change_user(context, name, disable)


def enable_user(context: CallContext, name: str) -> UserView:
    """Enable a user again; revoked tokens stay revoked. Raises as `disable_user` does, except Conflict."""

    def enable(change: Change, user: User) -> str | None:
        if user.disabled_at is None:
            return None
        user.disabled_at = None
        return "user.enable"

    return _change_user(context, name, enable)


def set_superuser(context: CallContext, name: str, *, is_superuser: bool) -> UserView:
    """Make a user a superuser, or a superuser an ordinary user. Raises as `disable_user` does.

    A new superuser becomes the owner of the demo instance if it has none.
    """

    def promote_or_demote(change: Change, user: User) -> str | None:
        if user.is_superuser is is_superuser:
            return None
        if not is_superuser:
            _check_others(change.session, user)
        user.is_superuser = is_superuser
        if is_superuser:
            give_demo(change, context.settings.demo_instance, user)
        return "user.promote" if is_superuser else "user.demote"

    return _change_user(context, name, promote_or_demote)


def find_or_create_user(
    context: CallContext,
    identity: Identity,
    read_also: Callable[[Session, User], object] = lambda session, user: None,
    *,
    provision: bool,
) -> User | None:
    """Return the user of an identity. `provision`: create one, with the preferred name unless it is taken.

    `read_also` is called in the transaction that finds the user.
    """
    if not 0 < len(identity.subject) <= _LONGEST_SUBJECT or identity.subject != clean(identity.subject):
        return None
    same = (User.issuer == identity.issuer, User.subject == identity.subject)
    with context.db.read() as session:
        user = session.scalars(select(User).where(*same)).one_or_none()
        if user is not None:
            read_also(session, user)
    if user is not None or not provision:
        return user
    preferred = (identity.preferred_name or "").strip().lower()
    spare = f"user-{hashlib.sha256(f'{identity.issuer} {identity.subject}'.encode()).hexdigest()[:12]}"
    for name in (preferred, spare):
        if _NAME.fullmatch(name) is None:
            continue
        values = _new_values(name, identity)
        actor = Actor("user", values["id"], name, user_id=values["id"])
        try:
            return _store(context.by(replace(context.caller, actor=actor)), values, lambda change: None)
        except Conflict:
            with context.db.read() as session:
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
    return view_row(UserView, user, has_password=user.password_hash is not None)


def _new_values(name: str, identity: Identity | None) -> dict[str, Any]:
    issuer, subject = (None, None) if identity is None else (identity.issuer, identity.subject)
    return {"id": str(uuid.uuid4()), "name": name, "issuer": issuer, "subject": subject, "is_superuser": False}


def _store(context: CallContext, values: dict[str, Any], check: Callable[[Change], object]) -> User:
    def work(change: Change) -> User:
        check(change)
        row = change.session.get(User, values["id"])
        if row is not None:
            # The commit of an earlier try succeeded.
            return row
        row = User(**values, generation=1, created_at=change.now)
        change.session.add(row)
        change.session.flush()
        raise_version(change.session)
        note_user(change, "user.create", row)
        if row.is_superuser:
            give_demo(change, context.settings.demo_instance, row)
        return row

    try:
        return context.commit(work)
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


def _find(session: Session, name: str) -> User:
    user = session.scalars(select(User).where(User.name == clean(name.strip().lower()))).one_or_none()
    if user is None:
        raise NotFound("there is no such user", field="name")
    return user


def _change_user(context: CallContext, name: str, apply: Callable[[Change, User], str | None]) -> UserView:
    """Change a user if the caller may; `apply` returns the action for the audit log, None if nothing changed."""

    def work(change: Change) -> User:
        change.require_outside(Act.MANAGE_USERS)
        change.exclude_changes()
        user = _find(change.session, name)
        action = apply(change, user)
        if action is not None:
            raise_version(change.session)
            note_user(change, action, user)
        return user

    return view_user(context.commit(work))


def _check_others(session: Session, user: User) -> None:
    """Raise Conflict if the user is the last superuser."""
    enabled_superusers = (User.is_superuser.is_(True), User.disabled_at.is_(None))
    if session.scalars(select(User.id).where(*enabled_superusers).limit(2)).all() == [user.id]:
        raise Conflict("this is the last superuser", field="name")


def note_user(change: Change, action: str, user: User | None) -> None:
    """Add an audit entry about a user; None for a user that does not exist."""
    change.audit(SYSTEM_SCOPE, action, "user", user.id if user else "", {"name": user.name} if user else {})
