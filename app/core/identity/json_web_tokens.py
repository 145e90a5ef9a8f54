"""Signs and verifies JSON Web Tokens (RFC 7519)."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import JWSRegistry, extract_compact

from swallowtail.app.core.errors import Unauthenticated
from swallowtail.app.core.security.token_secrets import LONGEST, UNUSABLE

EXPIRED = "this token has expired"
NOT_YET = "this token is not valid yet"
#: Latest moment of a claim, in the year 9000: `datetime` ends at 9999.
_LAST_SECOND = 221_845_392_000
_HMAC = "HS256"


class _Registry(JWSRegistry):
    # The length of the whole token is limited; certificates in a header may be longer than joserfc's own limit.
    max_header_length = LONGEST


@dataclass(frozen=True, slots=True)
class Expected:
    """What the claims of a token must be. `leeway` is how far clocks may differ, in seconds."""

    issuer: str
    audience: str
    required: Collection[str]
    leeway: float


def sign(claims: Mapping[str, Any], key: str, header: Mapping[str, str]) -> str:
    """Return a token signed by HMAC with SHA-256."""
    registry = _Registry(algorithms=[_HMAC])
    return jwt.encode({"alg": _HMAC, **header}, dict(claims), secret_key(key), registry=registry)


@lru_cache(maxsize=8)
def secret_key(key: str) -> OctKey:
    """Return a key for HMAC."""
    return OctKey.import_key(key)


def read_header(token: str) -> Mapping[str, Any]:
    """Return the header of a token that is not verified yet. Raises Unauthenticated."""
    try:
        header: Any = extract_compact(token.encode(), registry=_Registry()).headers()
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        raise Unauthenticated(UNUSABLE) from None
    # No extension is supported, so that none may be critical.
    if not isinstance(header, dict) or "crit" in header:
        raise Unauthenticated(UNUSABLE)
    return header


def verify(token: str, key: Key, algorithm: str, expected: Expected) -> tuple[dict[str, Any], datetime]:
    """Return the claims of a token and when it expires. Raises Unauthenticated if the signature or a claim is wrong."""
    claims: dict[str, Any] = {}
    try:
        registry = _Registry(algorithms=[algorithm], strict_check_header=False)
        claims = jwt.decode(token, key, registry=registry).claims
        _check_claims(claims, expected)
    except ExpiredTokenError:
        raise Unauthenticated(EXPIRED) from None
    except InvalidClaimError as error:
        is_early = error.claim in ("nbf", "iat") and type(claims.get(error.claim)) in (int, float)
        raise Unauthenticated(NOT_YET if is_early else UNUSABLE) from None
    except (JoseError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthenticated(UNUSABLE) from None
    return claims, read_moment(claims["exp"])


def _check_claims(claims: dict[str, Any], expected: Expected) -> None:
    required: dict[str, Any] = {name: {"essential": True} for name in expected.required}
    exact: dict[str, Any] = {
        "iss": {"essential": True, "value": expected.issuer},
        "aud": {"essential": True, "value": expected.audience},
    }
    leeway: Any = expected.leeway
    clock: Any = time.time
    jwt.JWTClaimsRegistry(clock, leeway, **required, **exact).validate(claims)


def read_moment(seconds: object) -> datetime:
    """Return the moment of a claim in seconds since 1970. Raises Unauthenticated."""
    try:
        whole_seconds = int(seconds)  # type: ignore[call-overload]
    except (ValueError, TypeError, OverflowError):
        raise Unauthenticated(UNUSABLE) from None
    if not 0 <= whole_seconds <= _LAST_SECOND:
        raise Unauthenticated(UNUSABLE)
    return datetime.fromtimestamp(whole_seconds, UTC)
