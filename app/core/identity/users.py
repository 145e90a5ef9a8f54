"""Who is known here: users come, change their passwords and go. The only writer of their rows.

Beside the road: REST (`web/api/users`) and the command line call the same functions. Every change is one transaction
with its entry in the audit log, and raises the access version, so that live connections are looked at again.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
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
_REFUSED = "the name or the password is wrong"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as an identity provider knows them; `wish` is what they would like to be called here."""

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
    """Make somebody known, by a password or as whom an identity provider knows.

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
    """Tell whether anybody is known yet."""
    return session.scalar(select(User.id).limit(1)) is not None


def disable_user(runtime: CallContext, name: str) -> UserView:
    """Let somebody in no more: their sessions and personal tokens are revoked, their front ends' tokens suspended.

    Raises:
        Unauthenticated, Forbidden: the caller is no superuser.
        NotFound: there is no such user.
        Conflict: nobody would be left who can enable users.
    """

    def work(change: Change) -> User:
        change.require_outside(Act.MANAGE_USERS)
        user = _find(change.session, name)
        if user.disabled_at is None:
            _check_others(change.session, user)
            user.disabled_at = change.now
            _void(change, user)
            _note(change, "user.disable", user)
        return user

    return view_user(runtime.commit(work))


def enable_user(runtime: CallContext, name: str) -> UserView:
    """Let somebody in again; what was revoked stays so. Raises as `disable_user` does, but Conflict."""

    def work(change: Change) -> User:
        change.require_outside(Act.MANAGE_USERS)
        user = _find(change.session, name)
        if user.disabled_at is not None:
            user.disabled_at = None
            raise_version(change.session)
            _note(change, "user.enable", user)
        return user

    return view_user(runtime.commit(work))


def promote_user(runtime: CallContext, name: str) -> UserView:
    """Have somebody keep users and the deployment. Raises as `enable_user` does."""
    return _change_standing(runtime, name, is_superuser=True)


def demote_user(runtime: CallContext, name: str) -> UserView:
    """Have somebody be a superuser no more. Raises as `disable_user` does."""
    return _change_standing(runtime, name, is_superuser=False)


def set_password(runtime: CallContext, name: str, password: str) -> UserView:
    """Give somebody another password; their sessions and personal tokens are revoked.

    Raises:
        Unauthenticated, Forbidden: the caller is no superuser.
        NotFound: there is no such user.
        InvalidInput: the password cannot be used.
        Conflict: this user signs in through an identity provider.
    """
    require_outside(runtime.caller.actor, Act.MANAGE_USERS)
    return _change_password(runtime, Act.MANAGE_USERS, User.name == clean(name.strip().lower()), password)


def change_own_password(runtime: CallContext, present: str, new: str) -> UserView:
    """Give the caller another password; everything issued to them before is revoked, this session too.

    Raises:
        Unauthenticated: the caller is no user, or the current password is wrong.
        Forbidden: the caller shows a token that allows less than everything.
        InvalidInput, Conflict: see `set_password`.
    """
    actor = runtime.caller.actor
    require_outside(actor, Act.MANAGE_OWN_TOKENS)
    if actor.user_id is None or actor.acts is not None:
        raise Forbidden("sign in with your password to change it")
    runtime.passwords.check(new, "new_password")
    with runtime.db.read() as session:
        user = session.get(User, actor.user_id)
    if not runtime.passwords.verify(None if user is None else user.password_hash, present):
        runtime.commit(lambda change: _note(change, "user.password_refuse", user))
        raise Forbidden("the current password is wrong", field="password")
    return _change_password(runtime, Act.MANAGE_OWN_TOKENS, User.id == actor.user_id, new)


def authenticate(runtime: CallContext, name: str, password: str) -> User:
    """Return the user of this name and password. Whoever asks notes a refusal (`core/audit/denied_requests`).

    Raises:
        Unauthenticated: the name is unknown, the password wrong, or the user disabled; nobody learns which.
        TooFast: too many passwords are being checked.
    """
    with runtime.db.read() as session:
        user = session.scalars(select(User).where(User.name == clean(name.strip().lower()))).one_or_none()
    fits = runtime.passwords.verify(None if user is None else user.password_hash, password)
    if user is None or not fits or user.disabled_at is not None:
        raise Unauthenticated(_REFUSED)
    if runtime.passwords.is_outdated(user.password_hash or ""):
        _rehash(runtime, user, password)
    return user


def find_or_create_user(runtime: CallContext, identity: Identity, *, provision: bool) -> User | None:
    """Return the user whom an identity provider vouches for; make them known if `provision` says so.

    They are called what they wish if nobody else is: nobody is taken for somebody else because of a name.
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
            # The commit of an earlier try went through after all.
            return known
        values = {column.name: getattr(new, column.name) for column in User.__table__.columns}
        row = User(**{**values, "created_at": change.now})
        change.session.add(row)
        change.session.flush()
        raise_version(change.session)
        _note(change, "user.create", row)
        return row

    try:
        return runtime.commit(work)
    except IntegrityError:
        raise Conflict("this name, or this identity, is taken", field="name") from None


def _change_password(runtime: CallContext, act: Act, which: ColumnElement[bool], password: str) -> UserView:
    kept = runtime.passwords.hash(runtime.passwords.check(password))

    def work(change: Change) -> User:
        change.require_outside(act)
        user = change.session.scalars(select(User).where(which).with_for_update()).one_or_none()
        if user is None:
            raise NotFound("there is no such user", field="name")
        if user.issuer is not None:
            raise Conflict("this user signs in through an identity provider", field="name")
        user.password_hash = kept
        _void(change, user)
        _note(change, "user.password", user)
        return user

    return view_user(runtime.commit(work))


def _rehash(runtime: CallContext, user: User, password: str) -> None:
    kept = runtime.passwords.hash(password)
    with runtime.db.write() as session:
        # Unless somebody has changed the password meanwhile.
        same = (User.id == user.id, User.password_hash == user.password_hash)
        session.execute(
            update(User).where(*same).values(password_hash=kept).execution_options(synchronize_session=False)
        )


def _void(change: Change, user: User) -> None:
    """Make sessions and personal tokens worth nothing. A front end's token depends on its minter not being disabled."""
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
            _note(change, "user.promote" if is_superuser else "user.demote", user)
        return user

    return view_user(runtime.commit(work))


def _check_others(session: Session, user: User) -> None:
    """Refuse what would leave nobody who can keep users."""
    able = (User.is_superuser.is_(True), User.disabled_at.is_(None))
    # Locked in one order, so that two who end each other cannot both succeed.
    ids = session.scalars(select(User.id).where(*able).order_by(User.id).with_for_update()).all()
    if list(ids) == [user.id]:
        raise Conflict("this is the last superuser", field="name")


def _note(change: Change, action: str, user: User | None) -> None:
    change.audit(SYSTEM_SCOPE, action, "user", user.id if user else "", {"name": user.name} if user else {})
