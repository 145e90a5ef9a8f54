"""Authenticates callers by their tokens, and signs the tokens that are JWTs.

A session has a secret that is valid until sign-out, and access tokens (JWT) that are valid for minutes. A personal
token is a secret for scripts. An API token is a JWT that shows one instance to a front end. Each has a row, so that it
can be revoked. The fourth kind are the tokens of an identity provider.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import NotSetUp, Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.ended_tokens import Reason, find_ended
from swallowtail.app.core.identity.json_web_tokens import EXPIRED, Expected, read_header, secret_key, sign, verify
from swallowtail.app.core.identity.jwks import ALGORITHMS, ProviderKeys
from swallowtail.app.core.identity.provider_tokens import ProviderTokens
from swallowtail.app.core.identity.users import user_actor
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.security.signing_keys import SigningKeys
from swallowtail.app.core.security.token_secrets import (
    LONGEST,
    UNUSABLE,
    Kind,
    Secret,
    is_proven,
    make_proven_secret,
    split_secret,
)
from swallowtail.app.core.tables.auth import AccessToken, User

#: Reads more in the transaction that authenticates an actor.
ReadAlso = Callable[[Session, Actor], object]

#: `typ` of the JWTs that are issued here, so that one kind is never accepted as the other.
_TYPES: dict[str, Kind] = {"at+jwt": "session", "fe+jwt": "front_end"}
_REQUIRED = ("exp", "nbf", "iat", "jti")
#: Seconds between two stored uses of a token.
_USE_INTERVAL = 60.0

_REVOKED = "this token was revoked"
_NO_KEY = "SWALLOWTAIL_SECRET_KEY is not set here, so that no sessions and no API tokens can be issued"


class Tokens:
    """Authenticates tokens and signs JWTs."""

    def __init__(self, context: CallContext, *, provider: ProviderKeys | None = None) -> None:
        """`provider` has the keys of the identity provider; by default, of the provider in the settings."""
        self.settings = settings = context.settings
        self._db: Database = context.db
        self._uses = context.token_uses
        self._keys = SigningKeys(settings)
        if provider is None and settings.jwks_url:
            provider = ProviderKeys(settings)
        self._provider = None if provider is None else ProviderTokens(context, provider)
        self._expected = Expected(settings.token_issuer, settings.token_audience, _REQUIRED, settings.jwt_leeway)

    def check_keys(self) -> None:
        """Check at the start that tokens can be signed and verified. Raises SettingsError."""
        self._keys.check()

    def require_key(self) -> None:
        """Raise NotSetUp without a signing key: only personal tokens and those of the identity provider work then."""
        if not self._keys.is_set:
            raise NotSetUp(_NO_KEY)

    def sign_access(self, user: User, session_id: str, until: datetime) -> tuple[str, datetime]:
        """Return an access token of a session, and when it expires: soon, and never after the session does."""
        expires = min(now() + timedelta(minutes=self.settings.access_token_minutes), until)
        claims = {"sub": user.id, "sid": session_id, "gen": user.generation, "jti": secrets.token_urlsafe(16)}
        return self._sign("at+jwt", claims, expires), expires

    def sign_front_end(self, token_id: str, instance_id: str, expires: datetime) -> str:
        """Return the JWT of an API token."""
        return self._sign("fe+jwt", {"jti": token_id, "instance_id": instance_id}, expires)

    def make_session_secret(self, session_id: str) -> Secret:
        """Return a new secret of a session, with an HMAC that proves that it was issued here."""
        return make_proven_secret(session_id, self._keys.present[1])

    def has_issued(self, text: str) -> bool:
        """Return whether a session's secret was issued here, now or earlier. Raises Unauthenticated for other texts."""
        return is_proven(text, self._keys.by_id.values())

    def read(self, token: str, *, read_also: ReadAlso = lambda session, actor: None) -> Actor:
        """Return the actor of a token of any kind, in one transaction, unless it creates a user of the provider.

        `read_also` is called in it if the token's row and user are valid. Raises Unauthenticated, and Unavailable if
        the database is down.
        """
        try:
            return self._read(token, read_also)
        except Unauthenticated as refusal:
            refusal.is_of_token = True
            raise

    def _read(self, token: str, read_also: ReadAlso) -> Actor:
        if not token.isascii() or len(token) > LONGEST:
            raise Unauthenticated(UNUSABLE)
        if token.startswith("swt_"):
            return self._read_personal(token, read_also)
        header = read_header(token)
        if header.get("alg") == "HS256":
            return self._read_issued(token, header, read_also)
        if self._provider is not None and header.get("alg") in ALGORITHMS:
            return self._provider.read(token, header, read_also)
        raise Unauthenticated(UNUSABLE)

    def is_recognized(self, token: object) -> bool:
        """Return whether a value has the form of a token of a known kind, valid or not."""
        if not isinstance(token, str) or not token.isascii() or len(token) > LONGEST:
            return False
        if token.startswith("swt_"):
            return True
        try:
            header = read_header(token)
        except Unauthenticated:
            return False
        return header.get("typ") in _TYPES or self._provider is not None

    def read_session(
        self, secret: str, *, read_also: ReadAlso = lambda session, actor: None, is_use: bool = True
    ) -> Actor:
        """Return the actor of a session's secret. Raises as `read` does.

        A session ends when it is unused for `session_idle_hours`. `is_use`: whether this read counts as use.
        """
        session_id, secret_hash = split_secret(secret, "session")
        idle = timedelta(hours=self.settings.session_idle_hours)
        actor, used_at = self._look_up("session", session_id, read_also, secret_hash=secret_hash, idle=idle)
        if is_use:
            self._note_use(session_id, used_at)
        return actor

    def find_ended(self, actors: Collection[Actor]) -> dict[Actor, Reason]:
        """Return the actors whose token would be refused now, with the reason. Raises Unavailable."""
        return find_ended(self._db, actors, self.settings.jwt_leeway)

    def _sign(self, kind: str, claims: Mapping[str, Any], expires: datetime) -> str:
        self.require_key()
        kid, key = self._keys.present
        moment = now()
        standard = {"iss": self.settings.token_issuer, "aud": self.settings.token_audience}
        times = {"iat": moment, "nbf": moment, "exp": expires}
        return sign({**standard, **times, **claims}, key, {"typ": kind, "kid": kid})

    def _read_issued(self, token: str, header: Mapping[str, Any], read_also: ReadAlso) -> Actor:
        kind = _TYPES.get(str(header.get("typ")))
        key = self._keys.by_id.get(str(header.get("kid"))) if self._keys.is_set else None
        if kind is None or key is None:
            raise Unauthenticated(UNUSABLE)
        claims, expires = verify(token, secret_key(key), "HS256", self._expected)
        if kind == "front_end":
            return self._look_up(kind, str(claims["jti"]), read_also, expires)[0]
        actor, _ = self._look_up(kind, str(claims.get("sid")), read_also, expires, generation=claims.get("gen", -1))
        if actor.user_id != claims.get("sub"):
            raise Unauthenticated(UNUSABLE)
        return actor

    def _read_personal(self, text: str, read_also: ReadAlso) -> Actor:
        token_id, secret_hash = split_secret(text, "personal")
        actor, used_at = self._look_up("personal", token_id, read_also, secret_hash=secret_hash)
        self._note_use(token_id, used_at)
        return actor

    def _look_up(
        self,
        kind: Kind,
        token_id: str,
        read_also: ReadAlso,
        expires: datetime | None = None,
        *,
        secret_hash: str | None = None,
        generation: int | None = None,
        idle: timedelta | None = None,
    ) -> tuple[Actor, datetime | None]:
        """Return the actor of a token's row after checking the row, and when the token was last used."""
        query = select(AccessToken, User).outerjoin(User, User.id == AccessToken.user_id)
        with self._db.read() as session:
            row = session.execute(query.where(AccessToken.id == token_id, AccessToken.kind == kind)).one_or_none()
            if row is None:
                raise Unauthenticated(UNUSABLE)
            token, user = row
            if secret_hash is not None and not hmac.compare_digest(token.secret_hash or "", secret_hash):
                raise Unauthenticated(UNUSABLE)
            if generation is not None and (user is None or user.generation != generation):
                raise _ended(token, _REVOKED)
            _check_row(token, user)
            if idle is not None and token.last_used_at is not None and token.last_used_at + idle <= now():
                raise Unauthenticated(EXPIRED)
            actor = _token_actor(token, user, min(filter(None, (expires, token.expires_at)), default=None))
            read_also(session, actor)
        return actor, token.last_used_at

    def _note_use(self, token_id: str, used_at: datetime | None) -> None:
        moment = now()
        if used_at is None or (moment - used_at).total_seconds() >= _USE_INTERVAL:
            self._uses.note(token_id, moment)


def _token_actor(token: AccessToken, user: User | None, expires: datetime | None) -> Actor:
    """Return the actor of a token, with the permissions that both the token and its user have."""
    is_user = user is not None and token.kind != "front_end"
    actor = user_actor(user) if user is not None and is_user else Actor("front_end", token.id, token.name)
    return replace(
        actor,
        user_id=token.user_id,
        token_id=token.id,
        acts=None if token.acts is None else frozenset(Act(act) for act in token.acts),
        instance_id=token.instance_id,
        task_id=token.task_id,
        fields=None if token.fields is None else frozenset(token.fields),
        expires_at=expires,
    )


def _check_row(token: AccessToken, user: User | None) -> None:
    if token.revoked_at is not None:
        raise _ended(token, _REVOKED)
    if token.expires_at is not None and token.expires_at <= now():
        raise _ended(token, EXPIRED)
    # An API token that an open deployment issued has no user.
    is_unowned = user is None and token.kind == "front_end" and token.user_id is None
    if not is_unowned and (user is None or user.disabled_at is not None):
        # The message of a revoked token, so that it does not reveal a disabled account.
        raise _ended(token, _REVOKED)


def _ended(token: AccessToken, reason: str) -> Unauthenticated:
    refusal = Unauthenticated(reason)
    refusal.token_id = token.id
    return refusal
