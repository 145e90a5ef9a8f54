"""Ends connections whose packets are no packets, or come when they mean nothing. Beside the road, under `web/socketio/handlers`.

The library lets by an event for a namespace that its sender is not connected to, and answers a second CONNECT as if the
namespace were not there. The reference server closes such a connection, and so it is done here: its client lost count.
"""

from __future__ import annotations

from typing import Any

from swallowtail.app.web.engineio.packets import REFUSED, Unreadable
from swallowtail.app.web.socketio.transport import NAMESPACE, SocketTransport


class PacketOrder:
    """What comes first and what after, on the connections of one Socket.IO server."""

    def __init__(self, server: Any, transport: SocketTransport) -> None:
        """`server` is python-socketio's; whoever else handles its CONNECT packets does so already."""
        self._server = server
        self._transport = transport
        self._connect, self._event = server._handle_connect, server._handle_event
        server._handle_connect, server._handle_event = self.connect, self.event

    def connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        """Take a CONNECT packet."""
        if isinstance(data, Unreadable) or self._is_connected(eio_sid, namespace):
            self._transport.cut(eio_sid)
        else:
            self._connect(eio_sid, namespace, data)

    def event(self, eio_sid: str, namespace: str | None, number: int | None, data: Any) -> None:
        """Take an event."""
        if self._is_connected(eio_sid, namespace) and not _is_unanswered(namespace, data):
            self._event(eio_sid, namespace, number, data)
        else:
            self._transport.cut(eio_sid)

    def _is_connected(self, eio_sid: str, namespace: str | None) -> bool:
        manager, where = self._server.manager, namespace or NAMESPACE
        return bool(manager.is_connected(manager.sid_from_eio_sid(eio_sid, where), where))


def _is_unanswered(namespace: str | None, data: Any) -> bool:
    """Tell whether this stands for what is no packet, in a namespace whose handlers do not answer that."""
    is_elsewhere = (namespace or NAMESPACE) != NAMESPACE
    return is_elsewhere and data[0] == REFUSED and isinstance(data[1], Unreadable)
