"""Stop 12 of 12: Sends delivery's messages to the Socket.IO clients of this process.

Nothing here goes through Redis, and nothing blocks. A client with a `Connection` is written to directly. For the others
(long polling, and servers other than eventlet's) a message goes into the library's queue, which the library writes out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

import socketio
from engineio.exceptions import EngineIOError
from socketio import packet as stock

from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.wire import Frame
from swallowtail.app.web.engineio.fast_engine import FastSocket
from swallowtail.app.web.engineio.packets import Ack, PacketJson, SharedFrame, TextFrame
from swallowtail.app.web.socketio.rooms import NAMESPACE
from swallowtail.app.web.socketio.stock_connection import StockConnection
from swallowtail.app.web.websocket.batch import Batch
from swallowtail.app.web.websocket.connection import Connection
from swallowtail.app.web.websocket.outgoing_budget import OWN_QUEUE


class SocketTransport:
    """The `Transport` of the hub, on a python-socketio server."""

    def __init__(self, server: socketio.Server, limit: int) -> None:
        """`limit`: most messages in the queue of a client of the library."""
        self._server = server
        self._limit = limit

    def frame(self, event: str, payload: Mapping[str, Any]) -> TextFrame:
        """Encode one message."""
        return _encode(stock.EVENT, [event, payload], None)

    def read(self, frame: Frame) -> Mapping[str, Any]:
        """Return the payload of an encoded message."""
        payload: Mapping[str, Any] = PacketJson.loads(cast("TextFrame", frame).data[1:])[1]
        return payload

    def line(self, client: str) -> Connection | StockConnection:
        """Return the connection through which messages reach a client."""
        eio_sid = self.find_session(client) or ""
        socket = self._socket(eio_sid)
        return (
            socket.connection
            if isinstance(socket, FastSocket)
            else StockConnection(self._server.eio, eio_sid, self._limit)
        )

    def spread(self, clients: Collection[Client], frames: Sequence[Frame]) -> list[tuple[Client, int]]:
        """Send the same messages to all clients; return those that took fewer, with the number each took."""
        batch = Batch(cast("Sequence[TextFrame]", frames))
        data, size, count = batch.data, batch.size, batch.count
        short = []
        for client in clients:
            line = client.line
            try:
                if not line.can_send:
                    taken = line.offer(batch)
                elif (sent := line.send(data)) == size:
                    continue
                else:
                    taken = line.keep_rest(batch, sent)
            except BlockingIOError:
                taken = line.keep_rest(batch, 0)
            except OSError:
                line.abort()
                continue
            if taken < count:
                short.append((client, taken))
        return short

    def is_ready(self, client: Client) -> bool:
        """Return whether a client takes a message now."""
        return bool(client.line.is_ready)

    def send(self, client: str, frames: Sequence[Frame | SharedFrame]) -> None:
        """Queue messages for a client. A client that is gone is no error; one with a far too long queue is closed."""
        socket = self._socket(self.find_session(client))
        if socket is None:
            return
        try:
            if not isinstance(socket, FastSocket) and socket.queue.qsize() > 2 * self._limit:
                OWN_QUEUE.inc()
                socket.close(wait=False, abort=True)
                return
            for frame in frames:
                socket.send(frame)
        except EngineIOError:
            return

    def emit(self, client: str, event: str, payload: Mapping[str, Any]) -> None:
        """Queue one message for one client."""
        self.send(client, [self.frame(event, payload)])

    def acknowledge(
        self, client: str, ack: Ack | None, answer: Mapping[str, Any], snapshot: bytes | None = None
    ) -> None:
        """Queue the acknowledgement of an event, if the client asked for one. Many clients may share a snapshot."""
        if ack is None:
            return
        if snapshot is None:
            self.send(client, [_encode(stock.ACK, [answer], ack.id)])
        else:
            before = b'%d%d[%s,"snapshot":' % (stock.ACK, ack.id, PacketJson.encode(answer)[:-1])
            self.send(client, [SharedFrame(before, snapshot, b"}]")])

    def defer(self, client: str, work: Callable[[], None]) -> None:
        """Run work that may block; messages of the client wait until it is done.

        A client of the library has a thread or greenlet of its own, which may block.
        """
        self.defer_session(self.find_session(client), work)

    def defer_session(self, eio_sid: str | None, work: Callable[[], None]) -> None:
        """Do what `defer` does, for a session that has not joined the namespace yet."""
        socket = self._socket(eio_sid)
        if isinstance(socket, FastSocket):
            socket.defer(work)
        else:
            work()

    def set_max_message(self, client: str, size: int) -> None:
        """Accept messages of at most `size` bytes from a client from now on."""
        socket = self._socket(self.find_session(client))
        if socket is not None:
            socket.set_max_message(size)

    def close_client(self, client: str) -> None:
        """Close a client's connection, after what is queued for it; it may connect again."""
        self.close_session(self.find_session(client))

    def close_session(self, eio_sid: str | None) -> None:
        """Close a session, after what is queued for it. A polling client gets a CLOSE packet."""
        socket = self._socket(eio_sid)
        if socket is not None:
            socket.close(wait=False, abort=socket.upgraded, reason=self._server.reason.SERVER_DISCONNECT)

    def _socket(self, eio_sid: str | None) -> Any:
        try:
            return self._server.eio._get_socket(eio_sid)
        except KeyError:
            return None

    def find_session(self, client: str) -> str | None:
        """Return the Engine.IO session id of a client; None when it is gone."""
        try:
            return cast("str | None", self._server.manager.eio_sid_from_sid(client, NAMESPACE))
        except KeyError:
            return None


def _encode(kind: int, data: list[Any], ack_id: int | None) -> TextFrame:
    number = b"" if ack_id is None else b"%d" % ack_id
    return TextFrame(b"%d%s%s" % (kind, number, PacketJson.encode(data)))
