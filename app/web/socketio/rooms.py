"""Puts clients into Socket.IO rooms, for the emits of other programs, and disconnects them from the namespace."""

from __future__ import annotations

import socketio

from swallowtail.app.web.engineio.sessions import NAMESPACE


class Rooms:
    """The rooms of the clients that are connected to this process."""

    def __init__(self, server: socketio.Server) -> None:
        self._server = server

    def enter(self, client: str, room: str) -> None:
        """Put a client into a room."""
        # For a client that is not here, the library would ask the other processes by Redis.
        if self._is_connected(client):
            self._server.enter_room(client, room, namespace=NAMESPACE)

    def leave(self, client: str, room: str) -> None:
        """Take a client out of a room."""
        if self._is_connected(client):
            self._server.leave_room(client, room, namespace=NAMESPACE)

    def disconnect(self, client: str) -> None:
        """Disconnect a client from the namespace, after what is queued for it."""
        if self._is_connected(client):
            self._server.disconnect(client, namespace=NAMESPACE, ignore_queue=True)

    def _is_connected(self, client: str) -> bool:
        return bool(self._server.manager.is_connected(client, NAMESPACE))
