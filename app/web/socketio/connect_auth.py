"""Lets Socket.IO clients in, as whom they are: the socket's counterpart of `web/request/current_caller`. Before the road.

A client says who it is in the `auth` of its CONNECT packet, never in an address. Who is refused gets CONNECT_ERROR and
no CONNECT. A token is read in the database, and its bearer's connections are counted in Redis, which may take a while,
so that under the fast engine the connection is set aside for it; a token that was read before, and since when nobody's
access has changed, is not read again.
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
from swallowtail.app.core.security.permissions import NOBODY, OPEN, Actor, Caller
from swallowtail.app.delivery.clients.permission_cache import PermissionCache
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.socketio.transport import SocketTransport

log = structlog.get_logger(__name__)

NAMESPACE = "/"
#: What a token in an address would be called.
_IN_ADDRESSES = ("token", "access_token", "auth")
#: Tokens that are remembered.
_MOST = 10_000


class ConnectAuth:
    """The way into the namespace of one Socket.IO server."""

    def __init__(
        self,
        server: Any,
        settings: Settings,
        tokens: Tokens,
        permissions: PermissionCache,
        transport: SocketTransport,
        limits: Limits,
        refusals: DeniedRequestQueue,
    ) -> None:
        """`server` is python-socketio's, which asks here from now on."""
        self._server = server
        self._is_open = settings.is_open
        self._tokens = tokens
        self._permissions = permissions
        self._transport = transport
        self._limits = limits
        self._refusals = refusals
        self._accept = server._handle_connect
        server._handle_connect = self.knock
        #: Who is just being let in, by connection.
        self._entering: dict[str, tuple[Actor, int]] = {}
        self._known: OrderedDict[str, tuple[int, Actor]] = OrderedDict()

    def knock(self, eio_sid: str, namespace: str | None, auth: Any) -> None:
        """Take a CONNECT packet."""
        if (namespace or NAMESPACE) != NAMESPACE:
            self._accept(eio_sid, namespace, auth)
            return
        known = self._recall(eio_sid, auth)
        if known is None:
            self._transport.set_aside(eio_sid, lambda: self._decide(eio_sid, auth))
        elif self._limits.needs_redis(known[0], self.find_address(eio_sid)):
            self._transport.set_aside(eio_sid, lambda: self._let_in(eio_sid, *known))
        else:
            self._let_in(eio_sid, *known)

    def take(self, eio_sid: str) -> tuple[Actor, int]:
        """Return who has just been let in by this connection, and the access version at which that was decided."""
        return self._entering.pop(eio_sid, (NOBODY, 0))

    def read(self, token: Any) -> tuple[Actor, int]:
        """Return whose token this is, and the access version at which that was found out. Raises as `Tokens.read`."""
        if not isinstance(token, str):
            raise InvalidInput("token must be text", field="token")
        version = self._permissions.version
        actor = self._tokens.read(token)
        self._known[_digest(token)] = (version, actor)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return actor, version

    def find_address(self, eio_sid: str) -> str:
        """Return the address that a connection comes from."""
        address: str = self._environ(eio_sid).get("REMOTE_ADDR", "")
        return address

    def _recall(self, eio_sid: str, auth: Any) -> tuple[Actor, int] | None:
        """Return who this is if that takes no reading."""
        if _is_told_in_address(self._environ(eio_sid)):
            return None
        token = self._find_token(auth)
        if token is None:
            return (OPEN, self._permissions.version) if self._is_open else None
        known = self._known.get(_digest(token)) if isinstance(token, str) else None
        if known is None or known[0] != self._permissions.version:
            return None
        expires = known[1].expires_at
        return None if expires is not None and expires <= datetime.now(UTC) else (known[1], known[0])

    def _decide(self, eio_sid: str, auth: Any) -> None:
        try:
            actor, version = self._identify(eio_sid, auth)
        except SwallowtailError as refusal:
            self._refuse(eio_sid, refusal)
            self._refusals.note(refusal, Caller(NOBODY, "socket", self.find_address(eio_sid)), "connect", "", "")
        except Exception:
            log.exception("connect_failed")
            self._refuse(eio_sid, SwallowtailError("something went wrong that should not have"))
        else:
            self._let_in(eio_sid, actor, version)

    def _identify(self, eio_sid: str, auth: Any) -> tuple[Actor, int]:
        environ = self._environ(eio_sid)
        if _is_told_in_address(environ):
            raise InvalidInput("a token never belongs into an address; send it as auth: {token}", field="auth.token")
        token = self._find_token(auth)
        if token is not None:
            return self.read(token)
        version = self._permissions.version
        if self._is_open:
            return OPEN, version
        raise Unauthenticated

    def _let_in(self, eio_sid: str, actor: Actor, version: int) -> None:
        address = self.find_address(eio_sid)
        try:
            self._limits.acquire_connection(actor, address)
        except SwallowtailError as refusal:
            self._refuse(eio_sid, refusal)
            return
        if eio_sid not in self._server.environ:
            # It has gone in the meantime.
            self._limits.release_connection(actor, address)
            return
        self._entering[eio_sid] = (actor, version)
        try:
            self._accept(eio_sid, NAMESPACE, None)
        finally:
            if self._entering.pop(eio_sid, None) is not None:
                # Nobody took them in.
                self._limits.release_connection(actor, address)

    def _refuse(self, eio_sid: str, refusal: SwallowtailError) -> None:
        shape = refusal.as_dict()
        told = {"message": shape.pop("message"), "data": shape}
        self._server._send_packet(eio_sid, self._server.packet_class(stock.CONNECT_ERROR, told, namespace=NAMESPACE))

    def _find_token(self, auth: Any) -> Any:
        token = auth.get("token") if isinstance(auth, dict) else None
        # Where anybody may come in, a client may go on showing what it always showed and nobody looked at.
        return None if self._is_open and not self._tokens.is_of_ours(token) else token

    def _environ(self, eio_sid: str) -> Mapping[str, Any]:
        environ: Mapping[str, Any] = self._server.environ.get(eio_sid) or {}
        return environ


def _is_told_in_address(environ: Mapping[str, Any]) -> bool:
    query = environ.get("QUERY_STRING") or ""
    # Most addresses have none of it, and need not be taken apart.
    if "token" not in query and "auth" not in query and "%" not in query:
        return False
    return any(name in parse_qs(query, keep_blank_values=True) for name in _IN_ADDRESSES)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
