"""Brings delivery's messages to the Socket.IO clients of this process. On the road after `delivery/clients/client_group`.

Nothing here travels through Redis, and nothing waits. A client with a `Connection` is written to directly; for the
others (long polling, and concurrency other than eventlet's) a message goes into the library's queue, from where its
writer takes it.
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
from swallowtail.app.web.engineio.packets import Ack, FastJson, SharedFrame, TextFrame
from swallowtail.app.web.websocket.batch import Batch
from swallowtail.app.web.websocket.connection import Connection
from swallowtail.app.web.websocket.outgoing_budget import OWN_QUEUE

NAMESPACE = "/"


class StockConnection:
    """A client whose messages go through the library. `limit` messages may wait in its queue."""

    #: There is no socket here to be written to directly.
    can_send = False

    __slots__ = ("_eio", "_limit", "_sid")

    def __init__(self, eio: Any, sid: str, limit: int) -> None:
        self._eio = eio
        self._sid = sid
        self._limit = limit

    @property
    def is_ready(self) -> bool:
        """Whether the queue takes a message."""
        socket = self._eio.sockets.get(self._sid)
        return socket is None or socket.queue.qsize() < self._limit

    def offer(self, batch: Batch) -> int:
        """Queue messages as far as there is room; returns how many. One that is gone takes all."""
        socket = self._eio.sockets.get(self._sid)
        if socket is None or socket.closed:
            return batch.count
        taken: int = min(batch.count, max(0, self._limit - socket.queue.qsize()))
        try:
            for frame in batch.frames[:taken]:
                socket.send(frame)
        except EngineIOError:
            # Closed between the search and now; its disconnection is on its way.
            return batch.count
        return taken


class SocketTransport:
    """The `Transport` of the hub, on a python-socketio server."""

    def __init__(self, server: socketio.Server, limit: int) -> None:
        """`limit`: messages that may wait in the queue of a client that has one."""
        self._server = server
        self._limit = limit

    def frame(self, event: str, payload: Mapping[str, Any]) -> TextFrame:
        """Encode one message."""
        return _encode(stock.EVENT, [event, payload], None)

    def read(self, frame: Frame) -> Mapping[str, Any]:
        """Return the payload that a message was made of."""
        payload: Mapping[str, Any] = FastJson.loads(cast("TextFrame", frame).data[1:])[1]
        return payload

    def line(self, client: str) -> Connection | StockConnection:
        """Return what messages to a client go through."""
        eio_sid = self.find(client) or ""
        socket = self._socket(eio_sid)
        return (
            socket.connection
            if isinstance(socket, FastSocket)
            else StockConnection(self._server.eio, eio_sid, self._limit)
        )

    def spread(self, clients: Collection[Client], frames: Sequence[Frame]) -> list[tuple[Client, int]]:
        """Send clients the same messages; returns those that took fewer than all, with how many they took."""
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
        """Tell whether a client would take a message now."""
        return bool(client.line.is_ready)

    def send(self, client: str, frames: Sequence[Frame]) -> None:
        """Queue messages for a client. One that is gone is no error; one that lets far too much wait is given up."""
        self._send(client, frames)

    def _send(self, client: str, packets: Sequence[Any]) -> None:
        socket = self._socket(self.find(client))
        if socket is None:
            return
        try:
            if not isinstance(socket, FastSocket) and socket.queue.qsize() > 2 * self._limit:
                OWN_QUEUE.inc()
                socket.close(wait=False, abort=True)
                return
            for packet in packets:
                socket.send(packet)
        except EngineIOError:
            return

    def tell(self, client: str, event: str, payload: Mapping[str, Any]) -> None:
        """Queue one message for one client."""
        self.send(client, [self.frame(event, payload)])

    def acknowledge(
        self, client: str, ack: Ack | None, answer: Mapping[str, Any], snapshot: bytes | None = None
    ) -> None:
        """Queue the acknowledgement of an event, if one was asked for; with a snapshot, which many may share."""
        if ack is None:
            return
        if snapshot is None:
            self.send(client, [_encode(stock.ACK, [answer], ack.id)])
        else:
            before = b'%d%d[%s,"snapshot":' % (stock.ACK, ack.id, FastJson.encode(answer)[:-1])
            self._send(client, [SharedFrame(before, snapshot, b"}]")])

    def defer(self, client: str, work: Callable[[], None]) -> None:
        """Do what may have to wait, for a client that is heard no further until it is done.

        A client of the library has a thread or greenlet of its own, which can wait by itself.
        """
        self.set_aside(self.find(client), work)

    def set_aside(self, eio_sid: str | None, work: Callable[[], None]) -> None:
        """Do what `defer` does, for a connection that may not be a client yet."""
        socket = self._socket(eio_sid)
        if isinstance(socket, FastSocket):
            socket.defer(work)
        else:
            work()

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

    def expel(self, client: str) -> None:
        """Disconnect a client from the namespace, after what was queued for it."""
        if self.is_connected(client):
            self._server.disconnect(client, namespace=NAMESPACE, ignore_queue=True)

    def limit(self, client: str, longest: int) -> None:
        """Hear messages of at most so many bytes of a client from now on."""
        socket = self._socket(self.find(client))
        if socket is not None:
            socket.limit(longest)

    def hang_up(self, client: str) -> None:
        """End a client's connection, after what was queued for it; it may connect again."""
        self.cut(self.find(client))

    def cut(self, eio_sid: str | None) -> None:
        """End a connection, after what was queued for it; one that polls is told so, and learns it in no other way."""
        socket = self._socket(eio_sid)
        if socket is not None:
            socket.close(wait=False, abort=socket.upgraded, reason=self._server.reason.SERVER_DISCONNECT)

    def _socket(self, eio_sid: str | None) -> Any:
        try:
            return self._server.eio._get_socket(eio_sid)
        except KeyError:
            return None

    def find(self, client: str) -> str | None:
        """Return the id of a client's connection; None when it is gone."""
        try:
            return cast("str | None", self._server.manager.eio_sid_from_sid(client, NAMESPACE))
        except KeyError:
            return None


def _encode(kind: int, data: list[Any], ack_id: int | None) -> TextFrame:
    number = b"" if ack_id is None else b"%d" % ack_id
    return TextFrame(b"%d%s%s" % (kind, number, FastJson.encode(data)))
