"""Brings delivery's messages to the Socket.IO clients of this process. On the road after `delivery/audience`.

Nothing here travels through Redis, and nothing waits: a message goes into its client's own queue, from where the
library's writer takes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import socketio
from engineio.exceptions import EngineIOError
from socketio import packet as stock

from app.delivery.wire import Frame
from app.web.fast_engine import FastSocket
from app.web.packets import Ack, FastJson, TextFrame

NAMESPACE = "/"


class SocketTransport:
    """The `Transport` of the hub, on a python-socketio server."""

    def __init__(self, server: socketio.Server) -> None:
        self._server = server

    def frame(self, event: str, payload: Mapping[str, Any]) -> TextFrame:
        """Encode one message."""
        return self._encode(stock.EVENT, [event, payload], None)

    def send(self, client: str, frames: Sequence[Frame]) -> None:
        """Queue messages for a client. One that is gone is no error."""
        eio_sid = self._find(client)
        if eio_sid is None:
            return
        try:
            for frame in frames:
                self._server.eio.send_packet(eio_sid, frame)
        except EngineIOError:
            # Closed between the search and now; its disconnection is on its way.
            return

    def backlog(self, client: str) -> int:
        """Return how many messages wait in a client's queue; 0 for one that is gone."""
        eio_sid = self._find(client)
        try:
            socket = self._server.eio._get_socket(eio_sid)
        except KeyError:
            return 0
        if isinstance(socket, FastSocket):
            return 1000 if socket.connection.waiting else 0
        return cast("int", socket.queue.qsize())

    def tell(self, client: str, event: str, payload: Mapping[str, Any]) -> None:
        """Queue one message for one client."""
        self.send(client, [self.frame(event, payload)])

    def acknowledge(self, client: str, ack: Ack | None, answer: Mapping[str, Any]) -> None:
        """Queue the acknowledgement of an event, if one was asked for."""
        if ack is not None:
            self.send(client, [self._encode(stock.ACK, [answer], ack.id)])

    def is_connected(self, client: str) -> bool:
        """Tell whether a client is connected to this process."""
        return bool(self._server.manager.is_connected(client, NAMESPACE))

    def enter(self, client: str, room: str) -> None:
        """Put a client into a room, for other programs' emits."""
        # The library would ask the other processes by Redis about a client that is not here.
        if self.is_connected(client):
            self._server.enter_room(client, room, namespace=NAMESPACE)

    def leave(self, client: str, room: str) -> None:
        """Take a client out of a room."""
        if self.is_connected(client):
            self._server.leave_room(client, room, namespace=NAMESPACE)

    def _encode(self, kind: int, data: list[Any], ack_id: int | None) -> TextFrame:
        number = b"" if ack_id is None else b"%d" % ack_id
        return TextFrame(b"%d%s%s" % (kind, number, FastJson.dumps(data).encode()))

    def _find(self, client: str) -> str | None:
        try:
            return cast("str | None", self._server.manager.eio_sid_from_sid(client, NAMESPACE))
        except KeyError:
            return None
