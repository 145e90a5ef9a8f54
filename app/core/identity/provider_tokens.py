"""Verifies the tokens of an identity provider and finds the user of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.events import now
from swallowtail.app.core.identity.actors import user_actor
from swallowtail.app.core.identity.json_web_tokens import EXPIRED, Expected, read_moment, verify
from swallowtail.app.core.identity.jwks import ProviderKeys
from swallowtail.app.core.identity.users import Identity, find_or_create_user
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.token_secrets import UNUSABLE

_TYPES = ("JWT", "AT+JWT", "APPLICATION/AT+JWT")
_TOO_LONG = "this token lives longer than is accepted here (SWALLOWTAIL_JWT_MAX_HOURS)"


class ProviderTokens:
    """Verifies tokens with the keys of one provider."""

    def __init__(self, runtime: CallContext, keys: ProviderKeys) -> None:
        self._runtime = runtime
        self._settings = settings = runtime.settings
        self._keys = keys
        required = ("exp", "sub")
        self._expected = Expected(settings.jwt_issuer, settings.jwt_audience, required, settings.jwt_leeway)

    def read(self, token: str, header: Mapping[str, Any]) -> Actor:
        """Return the actor of a token.

        Raises:
            Unauthenticated: the token is wrong, expired, or of an unknown or disabled user.
            Unavailable: the keys of the provider cannot be read.
        """
        kid, algorithm = header.get("kid"), str(header["alg"])
        if not isinstance(kid, str) or str(header.get("typ", "JWT")).upper() not in _TYPES:
            raise Unauthenticated(UNUSABLE)
        key = self._keys.find(kid, algorithm)
        if key is None:
            raise Unauthenticated(UNUSABLE)
        claims, expires = verify(token, key, algorithm, self._expected)
        expires = _limit_lifetime(claims, expires, self._settings)
        name = claims.get("preferred_username") or claims.get("email")
        identity = Identity(self._settings.jwt_issuer, claims["sub"], name if isinstance(name, str) else None)
        user = find_or_create_user(self._runtime, identity, provision=self._settings.jwt_provision)
        if user is None or user.disabled_at is not None:
            raise Unauthenticated(UNUSABLE)
        return user_actor(user, expires_at=expires)


def _limit_lifetime(claims: Mapping[str, Any], expires: datetime, settings: Settings) -> datetime:
    """Return when a token ends: at its `exp`, and at most `jwt_max_hours` after its `iat`.

    Raises Unauthenticated when the token has no `iat` and may live longer, or when it has ended.
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
