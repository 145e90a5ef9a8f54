"""Tokens: what callers show to say who they are, signed and read. The gate before the road's first stop.

Three kinds are ours. A *session*: a secret that lasts until one signs out, and access tokens (JWT, minutes) made of it.
A *personal token*: a secret for scripts. A *front-end token*: a JWT that shows one instance to other people's pages.
Each has a row, so that each can be revoked; of secrets only the SHA-256 is kept, which is enough where the secret is
256 random bits. A fourth kind is signed by an identity provider. `core/identity/sessions` and `core/identity/api_tokens` issue, this file
reads.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import jwt
from jwt.exceptions import ExpiredSignatureError, ImmatureSignatureError, PyJWTError
from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import NotSetUp, Unauthenticated, Unavailable
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.jwks import ALGORITHMS, ProviderKeys
from swallowtail.app.core.identity.users import Identity, meet
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.permissions import Act, Actor
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

Reason = Literal["expired", "revoked", "disabled"]

#: `typ` of our own JWTs: one kind cannot be taken for the other.
_TYPES: dict[str, Kind] = {"at+jwt": "session", "fe+jwt": "front_end"}
_PROVIDER_TYPES = ("JWT", "AT+JWT", "APPLICATION/AT+JWT")
#: Latest moment that a claim may name, in the year 9000: the clock of a system may know fewer years than numbers.
_LAST_SECOND = 221_845_392_000
#: Seconds between two notes of when a personal token was used.
_NOTED_EVERY = 60.0
#: Ids in one query.
_BATCH = 500
#: Longest, in seconds, that looking at the tokens of connected clients waits for the database.
_PATIENCE = 2.0

_EXPIRED = "this token has expired"
_NOT_YET = "this token is not valid yet"
_REVOKED = "this token was revoked"
_NO_KEY = "SWALLOWTAIL_SECRET_KEY is not set up here, so that no sessions and no tokens for front ends are given"
_TOO_LONG = "this token lives longer than is accepted here (SWALLOWTAIL_JWT_MAX_HOURS)"

_ours = jwt.PyJWT(options={"require": ["iss", "aud", "exp", "nbf", "iat", "jti"], "enforce_minimum_key_length": True})
_theirs = jwt.PyJWT(options={"require": ["iss", "aud", "exp", "sub"], "enforce_minimum_key_length": True})


class Tokens:
    """Signs and reads tokens for one process."""

    def __init__(self, runtime: Runtime, *, provider: ProviderKeys | None = None) -> None:
        """`provider` holds the keys of the identity provider; by default, of the one that is set."""
        self.settings = runtime.settings
        self._runtime = runtime
        self._db: Database = runtime.db
        self._keys = SigningKeys(runtime.settings)
        self._provider = provider or (ProviderKeys(runtime.settings) if runtime.settings.jwks_url else None)

    def check_keys(self) -> None:
        """Make sure at the start that tokens can be signed and read later.

        Raises:
            SettingsError: callers must say who they are, and there is no key that every process has.
        """
        self._keys.check()

    def require_key(self) -> None:
        """Make sure, before anything is done for it, that a token can be signed.

        Raises:
            NotSetUp: there is no key: only the identity provider's tokens and personal ones work here.
        """
        if not self._keys.is_set:
            raise NotSetUp(_NO_KEY)

    def sign_access(self, user: User, session_id: str, until: datetime) -> tuple[str, datetime]:
        """Return an access token of a session, and when it expires: soon, and never after the session does."""
        expires = min(now() + timedelta(minutes=self.settings.access_token_minutes), until)
        claims = {"sub": user.id, "sid": session_id, "gen": user.generation, "jti": secrets.token_urlsafe(16)}
        return self._sign("at+jwt", claims, expires), expires

    def sign_front_end(self, token: AccessToken, expires: datetime) -> str:
        """Return the token of a front end whose row is `token`."""
        return self._sign("fe+jwt", {"jti": token.id, "instance_id": token.instance_id}, expires)

    def make_session_secret(self, session_id: str) -> Secret:
        """Return a new secret of a session, which carries a proof that it was issued here."""
        return make_proven_secret(session_id, self._keys.present[1])

    def has_issued(self, text: str) -> bool:
        """Tell whether a session's secret was issued here, for now or earlier. Raises Unauthenticated if it is none."""
        return is_proven(text, self._keys.by_id.values())

    def read(self, token: str) -> Actor:
        """Return who shows this token, of whatever kind.

        Raises:
            Unauthenticated: it is malformed, unknown, expired or revoked, or its user is disabled.
            Unavailable: the database, or the identity provider, is away.
        """
        try:
            return self._read(token)
        except Unauthenticated as refusal:
            refusal.is_of_token = True
            raise

    def _read(self, token: str) -> Actor:
        if not token.isascii() or len(token) > LONGEST:
            raise Unauthenticated(UNUSABLE)
        if token.startswith("swt_"):
            return self._read_personal(token)
        header = _read_header(token)
        if header.get("alg") == "HS256":
            return self._read_ours(token, header)
        if self._provider is not None and header.get("alg") in ALGORITHMS:
            return self._read_theirs(token, header, self._provider)
        raise Unauthenticated(UNUSABLE)

    def is_of_ours(self, token: object) -> bool:
        """Tell whether something looks like a token that was issued here or by our provider, good or not."""
        if not isinstance(token, str) or not token.isascii() or len(token) > LONGEST:
            return False
        if token.startswith("swt_"):
            return True
        try:
            header = _read_header(token)
        except Unauthenticated:
            return False
        return header.get("typ") in _TYPES or self._provider is not None

    def read_session(self, secret: str, *, is_use: bool = True) -> Actor:
        """Return whose session it is that this secret opens. Raises as `read` does; a bearer token never does.

        A session that nobody has used for `session_idle_hours` has ended. `is_use`: whether this counts as use.
        """
        session_id, secret_hash = split_secret(secret, "session")
        actor, used_at = self._look_up("session", session_id, None, secret_hash=secret_hash)
        idle = timedelta(hours=self.settings.session_idle_hours)
        if used_at is not None and used_at + idle <= now():
            raise Unauthenticated(_EXPIRED)
        if is_use:
            self._note_use(session_id, used_at)
        return actor

    def is_still_good(self, actors: Collection[Actor]) -> dict[Actor, Reason]:
        """Return those of the actors whose token would be refused by now, and why: for connections that live on."""
        tokens = {actor.token_id for actor in actors if actor.token_id}
        users = {actor.user_id for actor in actors if actor.user_id}
        ended: dict[str, Reason] = {}
        with self._db.read(wait=_PATIENCE) as session:
            moment = now()
            found = _read_batches(
                session, select(AccessToken.id, AccessToken.revoked_at, AccessToken.expires_at), tokens
            )
            for token_id in tokens:
                row = found.get(token_id)
                if row is None or row.revoked_at is not None:
                    ended[token_id] = "revoked"
                elif row.expires_at is not None and row.expires_at <= moment:
                    ended[token_id] = "expired"
            known = _read_batches(session, select(User.id, User.disabled_at), users)
        # A token is read that long after its end, too.
        moment -= timedelta(seconds=self.settings.jwt_leeway)
        disabled = {user for user in users if user not in known or known[user].disabled_at is not None}
        return {actor: why for actor in actors if (why := _why_ended(actor, ended, disabled, moment)) is not None}

    def _sign(self, kind: str, claims: Mapping[str, Any], expires: datetime) -> str:
        self.require_key()
        kid, key = self._keys.present
        moment = now()
        told = {
            "iss": self.settings.token_issuer,
            "aud": self.settings.token_audience,
            "iat": moment,
            "nbf": moment,
            "exp": expires,
            **claims,
        }
        return _ours.encode(told, key, algorithm="HS256", headers={"typ": kind, "kid": kid})

    def _read_ours(self, token: str, header: Mapping[str, Any]) -> Actor:
        kind = _TYPES.get(str(header.get("typ")))
        key = self._keys.by_id.get(str(header.get("kid"))) if self._keys.is_set else None
        if kind is None or key is None:
            raise Unauthenticated(UNUSABLE)
        settings = self.settings
        claims, expires = self._decode(_ours, token, key, "HS256", settings.token_issuer, settings.token_audience)
        if kind == "front_end":
            return self._look_up(kind, str(claims["jti"]), expires)[0]
        actor, _ = self._look_up(kind, str(claims.get("sid")), expires, generation=claims.get("gen", -1))
        if actor.user_id != claims.get("sub"):
            raise Unauthenticated(UNUSABLE)
        return actor

    def _read_theirs(self, token: str, header: Mapping[str, Any], provider: ProviderKeys) -> Actor:
        kid, algorithm = header.get("kid"), str(header["alg"])
        if not isinstance(kid, str) or str(header.get("typ", "JWT")).upper() not in _PROVIDER_TYPES:
            raise Unauthenticated(UNUSABLE)
        key = provider.find(kid, algorithm)
        if key is None:
            raise Unauthenticated(UNUSABLE)
        settings = self.settings
        claims, expires = self._decode(_theirs, token, key.key, algorithm, settings.jwt_issuer, settings.jwt_audience)
        expires = self._bound(claims, expires)
        wish = claims.get("preferred_username") or claims.get("email")
        identity = Identity(settings.jwt_issuer, claims["sub"], wish if isinstance(wish, str) else None)
        user = meet(self._runtime, identity, provision=settings.jwt_provision)
        if user is None or user.disabled_at is not None:
            raise Unauthenticated(UNUSABLE)
        return act_as(user, expires_at=expires)

    def _decode(
        self, reader: jwt.PyJWT, token: str, key: Any, algorithm: str, issuer: str, audience: str
    ) -> tuple[dict[str, Any], datetime]:
        leeway = self.settings.jwt_leeway
        try:
            claims = reader.decode(token, key, algorithms=[algorithm], issuer=issuer, audience=audience, leeway=leeway)
            return claims, _moment(claims["exp"])
        except ExpiredSignatureError:
            raise Unauthenticated(_EXPIRED) from None
        except ImmatureSignatureError:
            raise Unauthenticated(_NOT_YET) from None
        except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthenticated(UNUSABLE) from None

    def _bound(self, claims: Mapping[str, Any], expires: datetime) -> datetime:
        """Return when a provider's token ends here: by its own word, and never later than the longest life allows.

        Raises Unauthenticated when its life has a beginning that cannot be known, and may be too long.
        """
        longest = timedelta(hours=self.settings.jwt_max_hours)
        if "iat" not in claims:
            if expires > now() + longest:
                raise Unauthenticated(_TOO_LONG)
            return expires
        expires = min(expires, _moment(claims["iat"]) + longest)
        if expires + timedelta(seconds=self.settings.jwt_leeway) <= now():
            raise Unauthenticated(_EXPIRED)
        return expires

    def _read_personal(self, text: str) -> Actor:
        token_id, secret_hash = split_secret(text, "personal")
        actor, used_at = self._look_up("personal", token_id, None, secret_hash=secret_hash)
        self._note_use(token_id, used_at)
        return actor

    def _look_up(
        self,
        kind: Kind,
        token_id: str,
        expires: datetime | None,
        *,
        secret_hash: str | None = None,
        generation: int | None = None,
    ) -> tuple[Actor, datetime | None]:
        """Return whom the row of a token stands for, once everything about both is right, and when it was used last."""
        query = select(AccessToken, User).outerjoin(User, User.id == AccessToken.user_id)
        with self._db.read() as session:
            found = session.execute(query.where(AccessToken.id == token_id, AccessToken.kind == kind)).one_or_none()
        if found is None:
            raise Unauthenticated(UNUSABLE)
        token, user = found
        if secret_hash is not None and not hmac.compare_digest(token.secret_hash or "", secret_hash):
            raise Unauthenticated(UNUSABLE)
        if generation is not None and (user is None or user.generation != generation):
            raise _ended(token, _REVOKED)
        _check_row(token, user)
        expires = min(filter(None, (expires, token.expires_at)), default=None)
        return _stand_for(token, user, expires), token.last_used_at

    def _note_use(self, token_id: str, used_at: datetime | None) -> None:
        moment = now()
        if used_at is not None and (moment - used_at).total_seconds() < _NOTED_EVERY:
            return
        try:
            # Nobody waits for this: a locked database is told the next time.
            with self._db.write(wait=0) as session:
                session.execute(
                    update(AccessToken)
                    .where(AccessToken.id == token_id)
                    .values(last_used_at=moment)
                    .execution_options(synchronize_session=False)
                )
        except Unavailable:
            return


def act_as(user: User, *, expires_at: datetime | None = None) -> Actor:
    """Return the actor that a user is, when nothing narrows what they may."""
    return Actor("user", user.id, user.name, user_id=user.id, is_superuser=user.is_superuser, expires_at=expires_at)


def _moment(seconds: object) -> datetime:
    """Return the moment of a claim, in seconds since 1970. Raises Unauthenticated where there is none such."""
    try:
        counted = int(seconds)  # type: ignore[call-overload]
    except (ValueError, TypeError, OverflowError):
        raise Unauthenticated(UNUSABLE) from None
    if not 0 <= counted <= _LAST_SECOND:
        raise Unauthenticated(UNUSABLE)
    return datetime.fromtimestamp(counted, UTC)


def _read_header(token: str) -> Mapping[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError):
        raise Unauthenticated(UNUSABLE) from None


def _check_row(token: AccessToken, user: User | None) -> None:
    if token.revoked_at is not None:
        raise _ended(token, _REVOKED)
    if token.expires_at is not None and token.expires_at <= now():
        raise _ended(token, _EXPIRED)
    # What somebody minted whom nobody asked for their name depends on no user.
    nobody = user is None and token.kind == "front_end" and token.user_id is None
    if not nobody and (user is None or user.disabled_at is not None):
        # Not told apart from a revoked token: it is nobody's business whose account is disabled.
        raise _ended(token, _REVOKED)


def _ended(token: AccessToken, why: str) -> Unauthenticated:
    refusal = Unauthenticated(why)
    refusal.token_id = token.id
    return refusal


def _stand_for(token: AccessToken, user: User | None, expires: datetime | None) -> Actor:
    known = act_as(user) if user and token.kind != "front_end" else Actor("front_end", token.id, token.name)
    return replace(
        known,
        user_id=token.user_id,
        token_id=token.id,
        acts=None if token.acts is None else frozenset(Act(act) for act in token.acts),
        instance_id=token.instance_id,
        task_id=token.task_id,
        fields=None if token.fields is None else frozenset(token.fields),
        expires_at=expires,
    )


def _read_batches(session: Session, query: Any, ids: Iterable[str]) -> dict[str, Row[Any]]:
    wanted, found = sorted(ids), {}
    column = query.selected_columns[0]
    for start in range(0, len(wanted), _BATCH):
        found.update({row.id: row for row in session.execute(query.where(column.in_(wanted[start : start + _BATCH])))})
    return found


def _why_ended(actor: Actor, ended: Mapping[str, Reason], disabled: Collection[str], moment: datetime) -> Reason | None:
    if actor.user_id in disabled:
        return "disabled"
    if actor.expires_at is not None and actor.expires_at <= moment:
        return "expired"
    return ended.get(actor.token_id or "")
