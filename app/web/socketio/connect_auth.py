"""Authenticates Socket.IO clients at CONNECT, as `web/request/current_caller` does for HTTP requests.

A client sends its token in the `auth` of its CONNECT packet, never in the URL. A refused client gets CONNECT_ERROR.
Reading a token in the database and counting connections in Redis may block, so under the fast engine the session is set
aside for it. A token that was read before is not read again while no permissions have changed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import structlog
from socketio import packet as stock

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, SwallowtailError, Unauthenticated
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.security.actors import ANONYMOUS, OPEN, Actor, Caller
from swallowtail.app.delivery.clients.permission_cache import PermissionCache
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.socketio.rooms import NAMESPACE
from swallowtail.app.web.socketio.transport import SocketTransport

log = structlog.get_logger(__name__)

#: Query parameters that would hold a token.
_TOKEN_PARAMETERS = ("token", "access_token", "auth")
#: Most tokens that are remembered.
_MAX_TOKENS = 10_000


class ConnectAuth:
    """Authenticates the clients of one Socket.IO server."""

    def __init__(
        self,
        server: Any,
        settings: Settings,
        tokens: Tokens,
        permissions: PermissionCache,
        transport: SocketTransport,
        limits: Limits,
        denied_requests: DeniedRequestQueue,
    ) -> None:
        """`server` is python-socketio's; its CONNECT packets come here from now on."""
        self._server = server
        self._is_open = settings.is_open
        self._tokens = tokens
        self._permissions = permissions
        self._transport = transport
        self._limits = limits
        self._denied_requests = denied_requests
        self._accept = server._handle_connect
        server._handle_connect = self.handle_connect
        #: Actor and permission version of each session that is being accepted.
        self._accepting: dict[str, tuple[Actor, int]] = {}
        self._known: OrderedDict[str, tuple[int, Actor]] = OrderedDict()

    def handle_connect(self, eio_sid: str, namespace: str | None, auth: Any) -> None:
        """Handle a CONNECT packet."""
        if (namespace or NAMESPACE) != NAMESPACE:
            self._accept(eio_sid, namespace, auth)
            return
        known = self._recall(eio_sid, auth)
        if known is None:
            self._transport.defer_session(eio_sid, lambda: self._authenticate(eio_sid, auth))
        elif self._limits.needs_redis(known[0], self.find_address(eio_sid)):
            self._transport.defer_session(eio_sid, lambda: self._admit(eio_sid, *known))
        else:
            self._admit(eio_sid, *known)

    def pop_accepted(self, eio_sid: str) -> tuple[Actor, int]:
        """Return the actor of a session being accepted, and the permission version of that decision."""
        return self._accepting.pop(eio_sid, (ANONYMOUS, 0))

    def read_token(self, token: Any) -> tuple[Actor, int]:
        """Return the actor of a token, and the permission version at which it was read. Raises as `Tokens.read`."""
        if not isinstance(token, str):
            raise InvalidInput("token must be text", field="token")
        version = self._permissions.version
        actor = self._tokens.read(token)
        self._known[_digest(token)] = (version, actor)
        while len(self._known) > _MAX_TOKENS:
            self._known.popitem(last=False)
        return actor, version

    def find_address(self, eio_sid: str) -> str:
        """Return the client address of a session."""
        address: str = self._environ(eio_sid).get("REMOTE_ADDR", "")
        return address

    def _recall(self, eio_sid: str, auth: Any) -> tuple[Actor, int] | None:
        """Return the actor if no read is needed."""
        if _has_token_in_url(self._environ(eio_sid)):
            return None
        token = self._find_token(auth)
        if token is None:
            return (OPEN, self._permissions.version) if self._is_open else None
        known = self._known.get(_digest(token)) if isinstance(token, str) else None
        if known is None or known[0] != self._permissions.version:
            return None
        expires = known[1].expires_at
        return None if expires is not None and expires <= datetime.now(UTC) else (known[1], known[0])

    def _authenticate(self, eio_sid: str, auth: Any) -> None:
        try:
            actor, version = self._identify(eio_sid, auth)
        except SwallowtailError as refusal:
            self._refuse(eio_sid, refusal)
            caller = Caller(ANONYMOUS, "socket", self.find_address(eio_sid))
            self._denied_requests.note(refusal, caller, "connect", "", "")
        except Exception:
            log.exception("connect_failed")
            self._refuse(eio_sid, SwallowtailError("an unexpected error occurred"))
        else:
            self._admit(eio_sid, actor, version)

    def _identify(self, eio_sid: str, auth: Any) -> tuple[Actor, int]:
        if _has_token_in_url(self._environ(eio_sid)):
            raise InvalidInput("a token must not be in the URL; send it as auth: {token}", field="auth.token")
        token = self._find_token(auth)
        if token is not None:
            return self.read_token(token)
        version = self._permissions.version
        if self._is_open:
            return OPEN, version
        raise Unauthenticated

    def _admit(self, eio_sid: str, actor: Actor, version: int) -> None:
        address = self.find_address(eio_sid)
        try:
            self._limits.acquire_connection(actor, address)
        except SwallowtailError as refusal:
            self._refuse(eio_sid, refusal)
            return
        if eio_sid not in self._server.environ:
            # The client has disconnected meanwhile.
            self._limits.release_connection(actor, address)
            return
        self._accepting[eio_sid] = (actor, version)
        try:
            self._accept(eio_sid, NAMESPACE, None)
        finally:
            if self._accepting.pop(eio_sid, None) is not None:
                # The library did not accept it.
                self._limits.release_connection(actor, address)

    def _refuse(self, eio_sid: str, refusal: SwallowtailError) -> None:
        shape = refusal.as_dict()
        payload = {"message": shape.pop("message"), "data": shape}
        self._server._send_packet(eio_sid, self._server.packet_class(stock.CONNECT_ERROR, payload, namespace=NAMESPACE))

    def _find_token(self, auth: Any) -> Any:
        token = auth.get("token") if isinstance(auth, dict) else None
        # Without required sign-in, a client may go on sending a foreign token, which is ignored.
        return None if self._is_open and not self._tokens.is_of_ours(token) else token

    def _environ(self, eio_sid: str) -> Mapping[str, Any]:
        environ: Mapping[str, Any] = self._server.environ.get(eio_sid) or {}
        return environ


def _has_token_in_url(environ: Mapping[str, Any]) -> bool:
    query = environ.get("QUERY_STRING") or ""
    # Most queries have none of these, and need no parsing.
    if "token" not in query and "auth" not in query and "%" not in query:
        return False
    return any(name in parse_qs(query, keep_blank_values=True) for name in _TOKEN_PARAMETERS)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
