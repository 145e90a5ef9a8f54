"""Reads, forges and rejects the tokens of a test."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.core.errors import Unauthenticated
from tests.harness.identity.signed_tokens import read_part, sign_token
from tests.identity.bench import KEY, Bench

EXPIRED, NOT_YET, REVOKED = "has expired", "not valid yet", "was revoked"
UNUSABLE = "not a token that is accepted here"


def refused(bench: Bench, token: str, why: str) -> None:
    with pytest.raises(Unauthenticated, match=why):
        bench.tokens.read(token)


def claims_of(token: str) -> dict[str, Any]:
    return read_part(token, 1)


def header_of(token: str) -> dict[str, Any]:
    return read_part(token, 0)


def forge(token: str, *, key: str = KEY, header: dict[str, Any] | None = None, without: str = "", **claims: Any) -> str:
    """Return the token with other claims, or `without` one, signed with `key`."""
    changed = {name: value for name, value in {**claims_of(token), **claims}.items() if name != without}
    return sign_token(changed, key, headers={**header_of(token), **(header or {})})
