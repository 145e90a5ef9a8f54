"""Opens, refreshes and closes sessions, for REST, the pages and the command line.

A session has a row and a secret. The pages keep the secret in a cookie. A program exchanges it for an access token and
the next secret; a secret that is used twice was stolen, and ends the session.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import select

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import Conflict, Forbidden, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.api_tokens import revoke_own
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.user_passwords import authenticate
from swallowtail.app.core.identity.users import user_actor
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.permission_version import raise_version
from swallowtail.app.core.security.permissions import require_authenticated
from swallowtail.app.core.security.token_secrets import split_secret
from swallowtail.app.core.tables.auth import AccessToken, User


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The result of a sign-in. `expires_at` is that of the access token. Neither token is stored."""

    actor: Actor
    session_id: str
    #: Authenticates until the session ends, or until the next `refresh`.
    session_token: str
    session_expires_at: datetime
    access_token: str
    expires_at: datetime


def sign_in(context: CallContext, tokens: Tokens, name: str, password: str) -> SignedIn:
    """Open a session by name and password. Raises as `user_passwords.authenticate` and `open_session` do."""
    tokens.require_key()
    return open_session(context, tokens, authenticate(context, name, password))


def open_session(context: CallContext, tokens: Tokens, user: User) -> SignedIn:
    """Open a session of an authenticated user.

    Raises NotSetUp, and Unauthenticated if the user was disabled or the password changed since `user` was read.
    """
    tokens.require_key()
    session_id = str(uuid.uuid4())
    secret = tokens.make_session_secret(session_id)
    expires = now() + timedelta(hours=context.settings.session_hours)

    def work(change: Change) -> None:
        if change.session.get(AccessToken, session_id) is not None:
            return
        present = change.session.get(User, user.id, with_for_update={"key_share": True})
        if present is None or present.disabled_at is not None or present.generation != user.generation:
            raise Unauthenticated("sign in again")
        row = AccessToken(id=session_id, kind="session", secret_hash=secret.hash, user_id=user.id, expires_at=expires)
        row.created_at = row.last_used_at = change.now
        change.session.add(row)
        change.audit(SYSTEM_SCOPE, "session.open", "user", user.id, {"name": user.name, "session": session_id})

    context.by(replace(context.caller, actor=user_actor(user))).commit(work)
    return _signed_in(tokens, user, session_id, secret.text, expires)


def refresh(context: CallContext, tokens: Tokens, secret: str) -> SignedIn:
    """Exchange a session's secret for a new access token and the next secret. Raises Unauthenticated, NotSetUp.

    An earlier secret of the session ends it.
    """
    tokens.require_key()
    session_id, secret_hash = split_secret(secret, "session")
    following, was_issued = tokens.make_session_secret(session_id), tokens.has_issued(secret)

    def work(change: Change) -> tuple[User, datetime] | None:
        query = select(AccessToken, User).join(User, User.id == AccessToken.user_id).with_for_update(of=AccessToken)
        same = (AccessToken.id == session_id, AccessToken.kind == "session")
        pair = change.session.execute(query.where(*same)).one_or_none()
        if pair is None:
            return None
        row, user = pair
        if row.secret_hash not in (secret_hash, following.hash):
            return None
        if row.revoked_at is not None or row.expires_at is None or row.expires_at <= change.now or user.disabled_at:
            return None
        row.secret_hash, row.last_used_at = following.hash, change.now
        return user, row.expires_at

    session = context.commit(work)
    if session is None:
        # Only an earlier secret proves a theft. The id of a session is not secret.
        if was_issued:
            context.commit(partial(_end_stolen, session_id=session_id, hashes=(secret_hash, following.hash)))
        raise Unauthenticated("this session has ended; sign in again")
    user, expires = session
    return _signed_in(tokens, user, session_id, following.text, expires)


def _end_stolen(change: Change, session_id: str, hashes: Collection[str | None]) -> None:
    """End a session that has none of these secrets any more. In a transaction that has locked nothing before."""
    change.exclude_changes()
    row = change.session.get(AccessToken, session_id, with_for_update=True)
    if row is None or row.kind != "session" or row.secret_hash in hashes or row.revoked_at is not None:
        return
    row.revoked_at = change.now
    raise_version(change.session)
    user = change.session.get_one(User, row.user_id)
    change.audit(SYSTEM_SCOPE, "session.replay", "user", user.id, {"name": user.name, "session": session_id})


def issue_access_token(context: CallContext, tokens: Tokens, actor: Actor) -> tuple[str, datetime]:
    """Return an access token for the owner of a session, and when it expires. Raises Unauthenticated, NotSetUp."""
    with context.db.read() as session:
        user = session.get(User, actor.user_id)
    if user is None or user.disabled_at is not None or actor.token_id is None or actor.expires_at is None:
        raise Unauthenticated("sign in again")
    return tokens.sign_access(user, actor.token_id, actor.expires_at)


def close_session(context: CallContext, session_id: str) -> None:
    """End a session, whose tokens become invalid; a second call changes nothing."""

    def work(change: Change) -> None:
        change.exclude_changes()
        row = change.session.get(AccessToken, session_id, with_for_update=True)
        if row is None or row.kind != "session" or row.revoked_at is not None:
            return
        row.revoked_at = change.now
        raise_version(change.session)
        change.audit(SYSTEM_SCOPE, "session.close", "user", row.user_id or "", {"session": session_id})

    context.commit(work)


def sign_out(context: CallContext) -> None:
    """End the session of the caller's token, or revoke the personal token.

    Raises Unauthenticated, Forbidden for front ends, and Conflict for tokens that were not issued here.
    """
    actor = context.caller.actor
    require_authenticated(actor)
    if actor.kind == "front_end":
        raise Forbidden("only an admin of the instance can revoke an API token of a front end")
    with context.db.read() as session:
        token = session.get(AccessToken, actor.token_id or "")
    if token is None:
        raise Conflict("this token was not issued here and cannot be revoked here")
    if token.kind == "session":
        close_session(context, token.id)
    else:
        revoke_own(context, token.id)


def _signed_in(tokens: Tokens, user: User, session_id: str, secret: str, expires: datetime) -> SignedIn:
    access_token, access_expires = tokens.sign_access(user, session_id, expires)
    actor = replace(user_actor(user), token_id=session_id, expires_at=access_expires)
    return SignedIn(actor, session_id, secret, expires, access_token, access_expires)
