"""Sends messages to a client through python-engineio's queue, with the interface of our own `WebSocketConnection`."""

from __future__ import annotations

from typing import Any

from engineio.exceptions import EngineIOError

from swallowtail.app.web.engineio.sessions import Sessions
from swallowtail.app.web.websocket.frame_batch import FrameBatch


class StockConnection:
    """A client whose session is the library's. At most `limit` messages wait in its queue."""

    #: There is no socket that could be written to directly.
    can_send = False

    __slots__ = ("_eio", "_eio_sid", "_limit")

    def __init__(self, sessions: Sessions, eio_sid: str, limit: int) -> None:
        self._eio: Any = sessions.server.eio
        self._eio_sid = eio_sid
        self._limit = limit

    @property
    def is_ready(self) -> bool:
        """Whether the queue takes a message."""
        session = self._eio.sockets.get(self._eio_sid)
        return session is None or session.queue.qsize() < self._limit

    def offer(self, batch: FrameBatch) -> int:
        """Queue messages as far as there is room; return how many. A closed session takes all."""
        session = self._eio.sockets.get(self._eio_sid)
        if session is None or session.closed:
            return batch.count
        room: int = min(batch.count, max(0, self._limit - session.queue.qsize()))
        try:
            for frame in batch.frames[:room]:
                session.send(frame)
        except EngineIOError:
            # Closed since the lookup; the library reports its disconnection soon.
            return batch.count
        return room
