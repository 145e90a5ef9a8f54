"""Reads the tokens of Socket.IO clients, and remembers each while no permissions have changed.

A client sends its token in the `auth` of its CONNECT packet, never in the URL.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, Unauthenticated
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.security.actors import OPEN, Actor
from swallowtail.app.delivery.clients.permission_cache import PermissionCache

#: Query parameters that would hold a token.
_TOKEN_PARAMETERS = ("token", "access_token", "auth")
#: Most tokens that are remembered.
_MAX_TOKENS = 10_000


class ClientTokens:
    """The tokens of the clients of one process. Each actor comes with the permission version at which it was read."""

    def __init__(self, settings: Settings, tokens: Tokens, permissions: PermissionCache) -> None:
        self._is_open = settings.is_open
        self._tokens = tokens
        self._permissions = permissions
        self._known: OrderedDict[str, tuple[int, Actor]] = OrderedDict()

    def read(self, token: Any) -> tuple[Actor, int]:
        """Return the actor of a token. Raises as `Tokens.read`."""
        if not isinstance(token, str):
            raise InvalidInput("token must be text", field="token")
        version = self._permissions.version
        actor = self._tokens.read(token)
        self._known[_digest(token)] = (version, actor)
        while len(self._known) > _MAX_TOKENS:
            self._known.popitem(last=False)
        return actor, version

    def recall(self, environ: Mapping[str, Any], auth: Any) -> tuple[Actor, int] | None:
        """Return the actor of a CONNECT packet with this payload, if the database need not be read for it."""
        if _has_token_in_url(environ):
            return None
        token = self._find_token(auth)
        if token is None:
            return (OPEN, self._permissions.version) if self._is_open else None
        known = self._known.get(_digest(token)) if isinstance(token, str) else None
        if known is None or known[0] != self._permissions.version:
            return None
        expires = known[1].expires_at
        return None if expires is not None and expires <= datetime.now(UTC) else (known[1], known[0])

    def identify(self, environ: Mapping[str, Any], auth: Any) -> tuple[Actor, int]:
        """Return the actor of a CONNECT packet with this payload. Raises as `Tokens.read`."""
        if _has_token_in_url(environ):
            raise InvalidInput("a token must not be in the URL; send it as auth: {token}", field="auth.token")
        token = self._find_token(auth)
        if token is not None:
            return self.read(token)
        version = self._permissions.version
        if self._is_open:
            return OPEN, version
        raise Unauthenticated

    def _find_token(self, auth: Any) -> Any:
        token = auth.get("token") if isinstance(auth, dict) else None
        # Without required sign-in, a client may go on sending a foreign token, which is ignored.
        return None if self._is_open and not self._tokens.is_of_ours(token) else token


def _has_token_in_url(environ: Mapping[str, Any]) -> bool:
    query = environ.get("QUERY_STRING") or ""
    # Most queries have none of these, and need no parsing.
    if "token" not in query and "auth" not in query and "%" not in query:
        return False
    return any(name in parse_qs(query, keep_blank_values=True) for name in _TOKEN_PARAMETERS)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
