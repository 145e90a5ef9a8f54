"""The secrets of sessions and personal tokens: makes them, takes them apart, proves who issued them.

Off the road, below `core/identity/authenticate`. The database keeps only the SHA-256 of a secret. A session's secret also carries an
HMAC: the session's id stands in access tokens and in the audit log, so that the HMAC alone shows that a secret opened
the session once.
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

#: Characters of the longest token that is looked at.
LONGEST = 8192
UNUSABLE = "this is not a token that is accepted here"

#: What is written in front of a secret, so that it is known again wherever it turns up.
_PREFIXES: dict[str, Kind] = {"sws": "session", "swt": "personal"}
#: Characters of the proof at the end of a session's secret.
_PROOF = 22


@dataclass(frozen=True, slots=True)
class Secret:
    """A new secret: `text` is for its bearer and is not kept, `hash` is."""

    text: str
    hash: str


def make_secret(kind: Kind, token_id: str) -> Secret:
    """Return a new secret for the token of this id."""
    return _secret(kind, token_id, secrets.token_urlsafe(32))


def make_proven_secret(session_id: str, key: str) -> Secret:
    """Return a new secret of a session, which ends with a proof by this key that it was issued."""
    rest = secrets.token_urlsafe(24)
    return _secret("session", session_id, rest + _prove(key, session_id, rest))


def is_proven(text: str, keys: Iterable[str]) -> bool:
    """Tell whether a session's secret was issued with one of the keys. Raises Unauthenticated if it is none."""
    session_id, secret = _split(text, "session")
    rest, proof = secret[:-_PROOF], secret[-_PROOF:]
    return any(hmac.compare_digest(_prove(key, session_id, rest), proof) for key in keys)


def split_secret(text: str, kind: Kind) -> tuple[str, str]:
    """Return the id of the token that a secret is of, and the secret's hash. Raises Unauthenticated."""
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
