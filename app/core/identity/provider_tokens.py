"""Verifies the tokens of an identity provider and finds the user of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.json_web_tokens import EXPIRED, Expected, read_moment, verify
from swallowtail.app.core.identity.jwks import ProviderKeys
from swallowtail.app.core.identity.users import Identity, find_or_create_user, user_actor
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.token_secrets import UNUSABLE
from swallowtail.app.core.tables.auth import User

_TYPES = ("JWT", "AT+JWT", "APPLICATION/AT+JWT")
_TOO_LONG = "this token is valid for longer than is accepted here (SWALLOWTAIL_JWT_MAX_HOURS)"


class ProviderTokens:
    """Verifies tokens with the keys of one provider."""

    def __init__(self, context: CallContext, keys: ProviderKeys) -> None:
        self._context = context
        self._settings = settings = context.settings
        self._keys = keys
        self._expected = Expected(settings.jwt_issuer, settings.jwt_audience, ("exp", "sub"), settings.jwt_leeway)

    def read(self, token: str, header: Mapping[str, Any], read_also: Callable[[Session, Actor], object]) -> Actor:
        """Return the actor of a token. Raises Unauthenticated, and Unavailable if the keys cannot be read.

        `read_also` is called in the transaction that finds the user.
        """
        kid, algorithm = header.get("kid"), str(header["alg"])
        if not isinstance(kid, str) or str(header.get("typ", "JWT")).upper() not in _TYPES:
            raise Unauthenticated(UNUSABLE)
        key = self._keys.find(kid, algorithm)
        if key is None:
            raise Unauthenticated(UNUSABLE)
        claims, expires = verify(token, key, algorithm, self._expected)
        expires = _limit_lifetime(claims, expires, self._settings)
        identity = Identity.of_claims(self._settings.jwt_issuer, claims)

        def read(session: Session, user: User) -> None:
            read_also(session, user_actor(user, expires_at=expires))

        user = find_or_create_user(self._context, identity, read, provision=self._settings.jwt_provision)
        if user is None or user.disabled_at is not None:
            raise Unauthenticated(UNUSABLE)
        return user_actor(user, expires_at=expires)


def _limit_lifetime(claims: Mapping[str, Any], expires: datetime, settings: Settings) -> datetime:
    """Return when a token expires: at its `exp`, and at most `jwt_max_hours` after its `iat`.

    Raises Unauthenticated when it has no `iat` and is valid for longer, or has expired.
    """
    longest = timedelta(hours=settings.jwt_max_hours)
    if "iat" not in claims:
        if expires > now() + longest:
            raise Unauthenticated(_TOO_LONG)
        return expires
    expires = min(expires, read_moment(claims["iat"]) + longest)
    if expires + timedelta(seconds=settings.jwt_leeway) <= now():
        raise Unauthenticated(EXPIRED)
    return expires
