"""Disconnects clients that send malformed packets, or packets out of order.

The library ignores an event for a namespace that its sender has not joined, and answers a second CONNECT as if the
namespace did not exist. The reference server disconnects such a client, and so does this one.
"""

from __future__ import annotations

from typing import Any

from swallowtail.app.web.engineio.packets import INVALID_EVENT, InvalidPacket
from swallowtail.app.web.socketio.rooms import NAMESPACE
from swallowtail.app.web.socketio.transport import SocketTransport


class PacketOrder:
    """Checks the packets of one Socket.IO server."""

    def __init__(self, server: Any, transport: SocketTransport) -> None:
        """`server` is python-socketio's. Other hooks into its CONNECT packets have to be installed before."""
        self._server = server
        self._transport = transport
        self._connect, self._event = server._handle_connect, server._handle_event
        server._handle_connect, server._handle_event = self.handle_connect, self.handle_event

    def handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        """Handle a CONNECT packet."""
        if isinstance(data, InvalidPacket) or self._is_connected(eio_sid, namespace):
            self._transport.close_session(eio_sid)
        else:
            self._connect(eio_sid, namespace, data)

    def handle_event(self, eio_sid: str, namespace: str | None, number: int | None, data: Any) -> None:
        """Handle an EVENT packet."""
        if self._is_connected(eio_sid, namespace) and not _is_unanswered(namespace, data):
            self._event(eio_sid, namespace, number, data)
        else:
            self._transport.close_session(eio_sid)

    def _is_connected(self, eio_sid: str, namespace: str | None) -> bool:
        manager, name = self._server.manager, namespace or NAMESPACE
        return bool(manager.is_connected(manager.sid_from_eio_sid(eio_sid, name), name))


def _is_unanswered(namespace: str | None, data: Any) -> bool:
    """Return whether this is a malformed packet in a namespace whose handlers do not answer it."""
    is_other = (namespace or NAMESPACE) != NAMESPACE
    return is_other and data[0] == INVALID_EVENT and isinstance(data[1], InvalidPacket)
