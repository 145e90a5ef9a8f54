"""Authenticates Socket.IO clients at CONNECT, as `web/request/current_caller` does for HTTP requests.

A client sends its token in the `auth` of its CONNECT packet, never in the URL. A refused client gets CONNECT_ERROR.
Reading a token in the database and counting connections in Redis may block, so the fast engine does it in a greenlet,
and handles no message of the client meanwhile. A token is read again only after permissions have changed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, SwallowtailError, Unauthenticated
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.security.actors import ANONYMOUS, OPEN, Actor, Caller
from swallowtail.app.delivery.clients.permission_cache import PermissionCache
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.engineio.sessions import Sessions
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.socketio.transport import SocketTransport

log = structlog.get_logger(__name__)

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
        self._actors: OrderedDict[str, tuple[int, Actor]] = OrderedDict()

    def read(self, token: Any) -> tuple[Actor, int]:
        """Return the actor of a token. Raises as `Tokens.read`."""
        if not isinstance(token, str):
            raise InvalidInput("token must be text", field="token")
        version = self._permissions.version
        actor = self._tokens.read(token)
        self._actors[_digest(token)] = (version, actor)
        while len(self._actors) > _MAX_TOKENS:
            self._actors.popitem(last=False)
        return actor, version

    def find_cached_actor(self, environ: Mapping[str, Any], auth: Any) -> tuple[Actor, int] | None:
        """Return the actor of a CONNECT packet with this payload, if the database need not be read for it."""
        if _has_token_in_url(environ):
            return None
        token = self._find_token(auth)
        if token is None:
            return (OPEN, self._permissions.version) if self._is_open else None
        entry = self._actors.get(_digest(token)) if isinstance(token, str) else None
        if entry is None or entry[0] != self._permissions.version:
            return None
        expires = entry[1].expires_at
        return None if expires is not None and expires <= datetime.now(UTC) else (entry[1], entry[0])

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
        # Without required sign-in, a client may continue to send a foreign token, which is ignored.
        return None if self._is_open and not self._tokens.is_recognized(token) else token


class ConnectAuth:
    """Authenticates the clients of one Socket.IO server."""

    def __init__(
        self,
        sessions: Sessions,
        tokens: ClientTokens,
        transport: SocketTransport,
        limits: Limits,
        denied_requests: DeniedRequestQueue,
        on_accepted: Callable[[str, Actor, int], None],
    ) -> None:
        """`on_accepted` gets each new client, its actor, and the permission version of that decision."""
        self._sessions = sessions
        self._tokens = tokens
        self._transport = transport
        self._limits = limits
        self._denied_requests = denied_requests
        self._on_accepted = on_accepted

    def authenticate(self, eio_sid: str, auth: Any) -> None:
        """Handle a CONNECT packet with this payload."""
        entry = self._tokens.find_cached_actor(self._sessions.environ(eio_sid), auth)
        if entry is None:
            self._transport.defer_session(eio_sid, lambda: self._identify(eio_sid, auth))
        elif self._limits.needs_redis(entry[0], self._sessions.find_address(eio_sid)):
            self._transport.defer_session(eio_sid, lambda: self._admit(eio_sid, *entry))
        else:
            self._admit(eio_sid, *entry)

    def _identify(self, eio_sid: str, auth: Any) -> None:
        try:
            actor, version = self._tokens.identify(self._sessions.environ(eio_sid), auth)
        except SwallowtailError as refusal:
            self._refuse(eio_sid, refusal)
            caller = Caller(ANONYMOUS, "socket", self._sessions.find_address(eio_sid))
            self._denied_requests.note(refusal, caller, "connect", "", "")
        except Exception:
            log.exception("connect_failed")
            self._refuse(eio_sid, SwallowtailError("an unexpected error occurred"))
        else:
            self._admit(eio_sid, actor, version)

    def _admit(self, eio_sid: str, actor: Actor, version: int) -> None:
        address = self._sessions.find_address(eio_sid)
        try:
            self._limits.acquire_connection(actor, address)
        except SwallowtailError as refusal:
            self._refuse(eio_sid, refusal)
            return
        client = None
        try:
            # The client may have disconnected meanwhile.
            if self._sessions.environ(eio_sid):
                client = self._sessions.accept(eio_sid)
        finally:
            if client is None:
                self._limits.release_connection(actor, address)
        if client is not None:
            self._on_accepted(client, actor, version)

    def _refuse(self, eio_sid: str, refusal: SwallowtailError) -> None:
        shape = refusal.as_dict()
        self._sessions.refuse(eio_sid, {"message": shape.pop("message"), "data": shape})


def _has_token_in_url(environ: Mapping[str, Any]) -> bool:
    query = environ.get("QUERY_STRING") or ""
    # Most queries have none of these, and need no parsing.
    if "token" not in query and "auth" not in query and "%" not in query:
        return False
    return any(name in parse_qs(query, keep_blank_values=True) for name in _TOKEN_PARAMETERS)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
