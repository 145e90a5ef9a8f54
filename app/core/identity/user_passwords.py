"""Verifies and changes the passwords of users."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, update

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, Forbidden, NotFound, Unauthenticated
from swallowtail.app.core.events import clean
from swallowtail.app.core.identity.users import note_user, revoke_all, view_user
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.schemas.identities import UserView
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.permissions import require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.tables.auth import User

_REFUSED = "the name or the password is wrong"


def set_password(context: CallContext, name: str, password: str) -> UserView:
    """Change a user's password; the user's sessions and personal tokens are revoked.

    Raises Unauthenticated, Forbidden, NotFound, InvalidInput, and Conflict for a user of an identity provider.
    """
    require_outside(context.caller.actor, Act.MANAGE_USERS)
    return _change_password(context, Act.MANAGE_USERS, User.name == clean(name.strip().lower()), password)


def change_own_password(context: CallContext, present: str, new: str) -> UserView:
    """Change the caller's password; all sessions and personal tokens are revoked, this session too.

    Raises Forbidden if the current password is wrong, and as `set_password` does.
    """
    actor = context.caller.actor
    require_outside(actor, Act.MANAGE_OWN_TOKENS)
    if actor.user_id is None or actor.acts is not None:
        raise Forbidden("sign in with your password to change it")
    context.passwords.check(new, "new_password")
    with context.db.read() as session:
        user = session.get(User, actor.user_id)
    if not context.passwords.verify(None if user is None else user.password_hash, present):
        context.commit(lambda change: note_user(change, "user.password_refuse", user))
        raise Forbidden("the current password is wrong", field="password")
    return _change_password(context, Act.MANAGE_OWN_TOKENS, User.id == actor.user_id, new)


def authenticate(context: CallContext, name: str, password: str) -> User:
    """Return the user of a name and password. The caller audits a refusal (`core/audit/denied_requests`).

    Raises Unauthenticated, with the same message in all cases, and TooFast while too many passwords are being verified.
    """
    with context.db.read() as session:
        user = session.scalars(select(User).where(User.name == clean(name.strip().lower()))).one_or_none()
    fits = context.passwords.verify(None if user is None else user.password_hash, password)
    if user is None or not fits or user.disabled_at is not None:
        raise Unauthenticated(_REFUSED)
    if context.passwords.is_outdated(user.password_hash or ""):
        _rehash(context, user, password)
    return user


def _change_password(context: CallContext, act: Act, which: ColumnElement[bool], password: str) -> UserView:
    password_hash = context.passwords.hash(context.passwords.check(password))

    def work(change: Change) -> User:
        change.require_outside(act)
        change.exclude_changes()
        user = change.session.scalars(select(User).where(which)).one_or_none()
        if user is None:
            raise NotFound("there is no such user", field="name")
        if user.issuer is not None:
            raise Conflict("this user signs in through an identity provider", field="name")
        user.password_hash = password_hash
        revoke_all(change, user)
        raise_version(change.session)
        note_user(change, "user.password", user)
        return user

    return view_user(context.commit(work))


def _rehash(context: CallContext, user: User, password: str) -> None:
    password_hash = context.passwords.hash(password)
    with context.db.write() as session:
        # Only if the password was not changed meanwhile.
        same = (User.id == user.id, User.password_hash == user.password_hash)
        session.execute(
            update(User).where(*same).values(password_hash=password_hash).execution_options(synchronize_session=False)
        )
