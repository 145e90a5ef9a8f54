"""Authenticates Socket.IO clients at CONNECT, as `web/request/current_caller` does for HTTP requests.

Reading a token in the database and counting connections in Redis may block, so under the fast engine the session is set
aside for it. A refused client gets CONNECT_ERROR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.security.actors import ANONYMOUS, Actor, Caller
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.engineio.sessions import Sessions
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.socketio.client_tokens import ClientTokens
from swallowtail.app.web.socketio.transport import SocketTransport

log = structlog.get_logger(__name__)


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
        known = self._tokens.recall(self._sessions.environ(eio_sid), auth)
        if known is None:
            self._transport.defer_session(eio_sid, lambda: self._identify(eio_sid, auth))
        elif self._limits.needs_redis(known[0], self._sessions.find_address(eio_sid)):
            self._transport.defer_session(eio_sid, lambda: self._admit(eio_sid, *known))
        else:
            self._admit(eio_sid, *known)

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
