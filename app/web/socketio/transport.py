"""Stop 12 of 12: Sends delivery's messages to the Socket.IO clients of this process.

Nothing here goes through Redis, and nothing blocks. A client with a `WebSocketConnection` is written to directly. For
the others (long polling, and servers other than eventlet's) a message goes into the library's queue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from engineio.exceptions import EngineIOError

from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.wire import Frame
from swallowtail.app.web.engineio.fast_engine import FastSocket
from swallowtail.app.web.engineio.packets import Ack, PacketJson, SharedFrame, TextFrame, frame_ack, frame_event
from swallowtail.app.web.engineio.sessions import NAMESPACE, Sessions
from swallowtail.app.web.engineio.stock_connection import StockConnection
from swallowtail.app.web.websocket.connection import WebSocketConnection
from swallowtail.app.web.websocket.frame_batch import FrameBatch
from swallowtail.app.web.websocket.outgoing_budget import OWN_QUEUE


class SocketTransport:
    """The `Transport` of the hub, on a python-socketio server."""

    def __init__(self, sessions: Sessions, limit: int) -> None:
        """`limit`: most messages in the queue of a client of the library."""
        self._sessions = sessions
        self._limit = limit

    def frame(self, event: str, payload: Mapping[str, Any]) -> TextFrame:
        """Encode one message."""
        return frame_event(event, payload)

    def read(self, frame: Frame) -> Mapping[str, Any]:
        """Return the payload of an encoded message."""
        payload: Mapping[str, Any] = PacketJson.loads(cast("TextFrame", frame).data[1:])[1]
        return payload

    def find_connection(self, client: str) -> WebSocketConnection | StockConnection:
        """Return the connection through which messages reach a client."""
        eio_sid = self._sessions.find_id(client) or ""
        session = self._sessions.find(eio_sid)
        if isinstance(session, FastSocket):
            return session.connection
        return StockConnection(self._sessions, eio_sid, self._limit)

    def send_to_all(self, clients: Collection[Client], frames: Sequence[Frame]) -> list[tuple[Client, int]]:
        """Send the same messages to all clients; return those that took fewer, with the number each took."""
        batch = FrameBatch(cast("Sequence[TextFrame]", frames))
        data, size, count = batch.data, batch.size, batch.count
        short = []
        for client in clients:
            connection = client.connection
            try:
                if not connection.can_send:
                    sent_count = connection.offer(batch)
                elif (sent := connection.send(data)) == size:
                    continue
                else:
                    sent_count = connection.keep_rest(batch, sent)
            except BlockingIOError:
                sent_count = connection.keep_rest(batch, 0)
            except OSError:
                connection.abort()
                continue
            if sent_count < count:
                short.append((client, sent_count))
        return short

    def is_ready(self, client: Client) -> bool:
        """Return whether a client takes a message now."""
        return bool(client.connection.is_ready)

    def send(self, client: str, frames: Sequence[Frame | SharedFrame]) -> None:
        """Queue messages for a client. A closed client is not an error; one with far too long a queue is closed."""
        session = self._find(client)
        if session is None:
            return
        try:
            if not isinstance(session, FastSocket) and session.queue.qsize() > 2 * self._limit:
                OWN_QUEUE.inc()
                session.close(wait=False, abort=True)
                return
            for frame in frames:
                session.send(frame)
        except EngineIOError:
            return

    def emit(self, client: str, event: str, payload: Mapping[str, Any]) -> None:
        """Queue one message for one client."""
        self.send(client, [self.frame(event, payload)])

    def acknowledge(
        self, client: str, ack: Ack | None, answer: Mapping[str, Any], snapshot: bytes | None = None
    ) -> None:
        """Queue the acknowledgement of an event, if the client asked for one. Many clients may share a snapshot."""
        if ack is not None:
            self.send(client, [frame_ack(ack, answer, snapshot)])

    def defer(self, client: str, work: Callable[[], None]) -> None:
        """Run work that may block; messages of the client wait until it is done."""
        self.defer_session(self._sessions.find_id(client), work)

    def defer_session(self, eio_sid: str | None, work: Callable[[], None]) -> None:
        """Do what `defer` does, for a session that has not joined the namespace yet."""
        session = self._sessions.find(eio_sid)
        if isinstance(session, FastSocket):
            session.defer(work)
        else:
            # A session of the library has a thread or greenlet of its own, which may block.
            work()

    def set_max_message(self, client: str, size: int) -> None:
        """Accept messages of at most `size` bytes from a client from now on."""
        session = self._find(client)
        if session is not None:
            session.set_max_message(size)

    def close_client(self, client: str) -> None:
        """Close a client's connection, after what is queued for it; it may connect again."""
        self._sessions.close(self._sessions.find_id(client))

    def enter_room(self, client: str, room: str) -> None:
        """Put a client into a Socket.IO room, for the emits of other programs."""
        # For a client that is not here, the library would ask the other processes by Redis.
        if self._sessions.is_connected(client):
            self._sessions.server.enter_room(client, room, namespace=NAMESPACE)

    def leave_room(self, client: str, room: str) -> None:
        """Take a client out of a Socket.IO room."""
        if self._sessions.is_connected(client):
            self._sessions.server.leave_room(client, room, namespace=NAMESPACE)

    def disconnect(self, client: str) -> None:
        """Disconnect a client from the namespace, after what is queued for it."""
        if self._sessions.is_connected(client):
            self._sessions.server.disconnect(client, namespace=NAMESPACE, ignore_queue=True)

    def find_address(self, client: str) -> str:
        """Return the address of a client."""
        return self._sessions.find_address(self._sessions.find_id(client))

    def _find(self, client: str) -> Any:
        return self._sessions.find(self._sessions.find_id(client))
