"""Creates, parses and verifies the secrets of sessions and personal tokens.

The database has only the SHA-256 of a secret. A session's secret also has an HMAC: the id of a session is public (in
access tokens and in the audit log), so that only the HMAC proves that a secret was issued for the session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from swallowtail.app.core.errors import Unauthenticated

Kind = Literal["session", "personal", "front_end"]

#: Longest token in characters.
LONGEST = 8192
UNUSABLE = "this is not a token that is accepted here"

#: Prefixes of secrets, so that they are recognized anywhere.
_PREFIXES: dict[str, Kind] = {"sws": "session", "swt": "personal"}
#: Characters of the proof at the end of a session's secret.
_PROOF = 22


@dataclass(frozen=True, slots=True)
class Secret:
    """A new secret: `text` for its bearer, `hash` for the database."""

    text: str
    hash: str


def make_secret(kind: Kind, token_id: str) -> Secret:
    """Return a new secret for a token."""
    return _secret(kind, token_id, secrets.token_urlsafe(32))


def make_proven_secret(session_id: str, key: str) -> Secret:
    """Return a new secret of a session with an HMAC by this key."""
    rest = secrets.token_urlsafe(24)
    return _secret("session", session_id, rest + _prove(key, session_id, rest))


def is_proven(text: str, keys: Iterable[str]) -> bool:
    """Return whether a session's secret has an HMAC by one of the keys. Raises Unauthenticated if it is malformed."""
    session_id, secret = _split(text, "session")
    rest, proof = secret[:-_PROOF], secret[-_PROOF:]
    return any(hmac.compare_digest(_prove(key, session_id, rest), proof) for key in keys)


def split_secret(text: str, kind: Kind) -> tuple[str, str]:
    """Return the token id and the hash of a secret. Raises Unauthenticated."""
    token_id, secret = _split(text, kind)
    return token_id, _hash(secret)


def _split(text: str, kind: Kind) -> tuple[str, str]:
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if len(text) > LONGEST or not text.isascii() or _PREFIXES.get(prefix) != kind:
        raise Unauthenticated(UNUSABLE)
    try:
        return str(uuid.UUID(hex=token_id)), secret
    except ValueError:
        raise Unauthenticated(UNUSABLE) from None


def _secret(kind: Kind, token_id: str, secret: str) -> Secret:
    prefix = next(prefix for prefix, its in _PREFIXES.items() if its == kind)
    return Secret(f"{prefix}_{uuid.UUID(token_id).hex}_{secret}", _hash(secret))


def _prove(key: str, session_id: str, rest: str) -> str:
    digest = hmac.digest(key.encode(), f"session secret\0{session_id}\0{rest}".encode(), "sha256")
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
