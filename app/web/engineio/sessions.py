"""Finds, counts and closes the Engine.IO sessions of a python-socketio server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import socketio
from socketio import packet

NAMESPACE = "/"


class Sessions:
    """The sessions of one Socket.IO server, each of which has at most one client in the namespace."""

    def __init__(self, server: socketio.Server) -> None:
        self.server = server

    def find(self, eio_sid: str | None) -> Any:
        """Return a session, a `FastSocket` or the library's; None when it has ended."""
        try:
            return self.server.eio._get_socket(eio_sid)
        except KeyError:
            return None

    def find_id(self, client: str) -> str | None:
        """Return the session id of a client; None when the client has left."""
        try:
            return cast("str | None", self.server.manager.eio_sid_from_sid(client, NAMESPACE))
        except KeyError:
            return None

    def find_client(self, eio_sid: str) -> str | None:
        """Return the client of a session; None when it has not joined the namespace."""
        return cast("str | None", self.server.manager.sid_from_eio_sid(eio_sid, NAMESPACE))

    def is_connected(self, client: str) -> bool:
        """Return whether a client is in the namespace."""
        return bool(self.server.manager.is_connected(client, NAMESPACE))

    def list_clients(self) -> list[str]:
        """Return all clients in the namespace."""
        return [client for client, _ in self.server.manager.get_participants(NAMESPACE, None)]

    def environ(self, eio_sid: str | None) -> Mapping[str, Any]:
        """Return the WSGI environment of the request that opened a session; empty when the session has ended."""
        return self.server.environ.get(eio_sid) or {}

    def find_address(self, eio_sid: str | None) -> str:
        """Return the client address of a session."""
        return cast("str", self.environ(eio_sid).get("REMOTE_ADDR", ""))

    def accept(self, eio_sid: str) -> str | None:
        """Put a session into the namespace and answer its CONNECT packet; return the new client."""
        # The class's method: the server's own is replaced by `PacketOrder`.
        socketio.Server._handle_connect(self.server, eio_sid, NAMESPACE, None)
        return self.find_client(eio_sid)

    def refuse(self, eio_sid: str, payload: dict[str, Any]) -> None:
        """Answer the CONNECT packet of a session with CONNECT_ERROR."""
        packet_class = self.server.packet_class
        self.server._send_packet(eio_sid, packet_class(packet.CONNECT_ERROR, payload, namespace=NAMESPACE))

    def close(self, eio_sid: str | None) -> None:
        """Close a session, after what is queued for it. A polling client gets a CLOSE packet."""
        session = self.find(eio_sid)
        if session is not None:
            session.close(wait=False, abort=session.upgraded, reason=self.server.reason.SERVER_DISCONNECT)

    def close_stock(self) -> None:
        """Close all sessions of the library, without waiting for their clients."""
        for session in list(self.server.eio.sockets.values()):
            session.close(wait=False, abort=True, reason=self.server.reason.SERVER_DISCONNECT)

    def count_stock(self) -> tuple[int, int]:
        """Return how many sessions of the library have a websocket, and how many poll."""
        sessions = list(self.server.eio.sockets.values())
        upgraded = sum(session.upgraded for session in sessions)
        return upgraded, len(sessions) - upgraded
