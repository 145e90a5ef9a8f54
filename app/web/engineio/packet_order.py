"""Disconnects clients that send malformed packets, or packets out of order.

The library ignores an event for a namespace that its sender has not joined, and answers a second CONNECT as if the
namespace did not exist. The reference server disconnects such a client, and so does this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swallowtail.app.web.engineio.packets import INVALID_EVENT, InvalidPacket
from swallowtail.app.web.engineio.sessions import NAMESPACE, Sessions


class PacketOrder:
    """Checks the CONNECT and EVENT packets of one Socket.IO server."""

    def __init__(self, sessions: Sessions, authenticate: Callable[[str, Any], None]) -> None:
        """`authenticate` gets the session id and the payload of each CONNECT to the namespace of the protocol."""
        server = self._server = sessions.server
        self._sessions = sessions
        self._authenticate = authenticate
        self._library_connect, self._library_event = server._handle_connect, server._handle_event
        server._handle_connect, server._handle_event = self._handle_connect, self._handle_event

    def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        if isinstance(data, InvalidPacket) or self._is_connected(eio_sid, namespace):
            self._sessions.close(eio_sid)
        elif (namespace or NAMESPACE) == NAMESPACE:
            self._authenticate(eio_sid, data)
        else:
            self._library_connect(eio_sid, namespace, data)

    def _handle_event(self, eio_sid: str, namespace: str | None, number: int | None, data: Any) -> None:
        if self._is_connected(eio_sid, namespace) and not _is_unanswered(namespace, data):
            self._library_event(eio_sid, namespace, number, data)
        else:
            self._sessions.close(eio_sid)

    def _is_connected(self, eio_sid: str, namespace: str | None) -> bool:
        manager, name = self._server.manager, namespace or NAMESPACE
        return bool(manager.is_connected(manager.sid_from_eio_sid(eio_sid, name), name))


def _is_unanswered(namespace: str | None, data: Any) -> bool:
    """Return whether this is a malformed packet in a namespace whose handlers do not answer it."""
    is_other = (namespace or NAMESPACE) != NAMESPACE
    return is_other and data[0] == INVALID_EVENT and isinstance(data[1], InvalidPacket)
