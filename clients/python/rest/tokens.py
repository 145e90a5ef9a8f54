"""The token that requests show: a text, or what a function returns until it expires."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable
from typing import cast

#: A token, or a function that returns one; the asyncio client also takes a function that returns an awaitable.
Token = str | Callable[[], str]
AsyncToken = Token | Callable[[], Awaitable[str]]

#: Seconds before its end from which on a token is not shown any more.
_MARGIN = 30.0


class TokenSource:
    """Keeps the token, and knows when the function has to be called for another one."""

    def __init__(self, token: AsyncToken | None) -> None:
        #: None when the token is a text, or absent.
        self.function: Callable[[], str | Awaitable[str]] | None = token if callable(token) else None
        self.value = None if callable(token) else token
        self._ends_at: float | None = None
        if self.value is not None:
            _check(self.value)

    def __repr__(self) -> str:
        return "TokenSource(…)"

    @property
    def is_due(self) -> bool:
        """Whether the function has to be called before the next request."""
        if self.function is None:
            return False
        return self.value is None or (self._ends_at is not None and time.time() > self._ends_at - _MARGIN)

    @property
    def for_connections(self) -> str | Callable[[], str] | None:
        """The token as the Socket.IO client takes it; of the asyncio client, only a text."""
        return self.value if self.function is None else cast("Callable[[], str]", self.function)

    def store(self, token: str) -> str:
        """Keep what the function returned."""
        _check(token)
        self.value, self._ends_at = token, _read_end(token)
        return token

    def discard(self) -> bool:
        """Forget a token that was refused. Returns whether there can be another one."""
        if self.function is None:
            return False
        self.value = None
        return True


def _check(token: object) -> None:
    # The text of the error does not show the token.
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token.strip():
        raise ValueError("the token is not a text of printable ASCII characters")


def _read_end(token: str) -> float | None:
    """Return when a JSON Web Token expires; None for other tokens. The server checks it, this client only reads it."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        end = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))["exp"]
        return float(end)
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
