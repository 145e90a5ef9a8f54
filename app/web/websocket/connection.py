"""Serves one websocket on a non-blocking socket, without a thread, a greenlet or a queue of its own."""

from __future__ import annotations

import socket
from typing import Protocol

from swallowtail.app.web.websocket import frames
from swallowtail.app.web.websocket.event_loop import BROKEN, READ, WRITE, EventLoop
from swallowtail.app.web.websocket.incoming_budget import IncomingBudget
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget
from swallowtail.app.web.websocket.send_queue import CLOSED, CLOSING, OPEN, SendQueue

#: Most bytes per read.
_CHUNK = 32_768
#: Seconds that a client has to close its side after the server has closed its own.
_LINGER = 2.0


class ConnectionOwner(Protocol):
    """What a connection reports its messages and its end to."""

    def message_received(self, kind: int, payload: bytes) -> None:
        """Handle a message of the client. Must not block."""

    def connection_lost(self) -> None:
        """Handle the end of the connection. Called once."""

    def drained(self) -> None:
        """Handle that the client takes messages again."""


class WebSocketConnection(SendQueue):
    """A client's websocket."""

    __slots__ = (
        "_fragment_budget", "_fragment_bytes", "_max_frames", "_owner", "_paused", "_reader", "_received", "_second",
    )  # fmt: skip

    def __init__(
        self,
        loop: EventLoop,
        sock: socket.socket,
        owner: ConnectionOwner,
        *,
        max_message: int,
        max_waiting: int,
        max_frames: int,
        outgoing: OutgoingBudget,
        incoming: IncomingBudget,
    ) -> None:
        """Limits: bytes of a message, bytes queued for the client, frames received per second."""
        super().__init__(loop, sock, max_waiting, outgoing)
        self._owner = owner
        self._reader = frames.FrameReader(max_message)
        self._fragment_budget = incoming
        #: Bytes of an incomplete message, as the process's budget counts them.
        self._fragment_bytes = 0
        self._max_frames = max_frames
        self._paused = False
        self._second = 0
        self._received = 0

    def set_max_message(self, size: int) -> None:
        """Accept messages of at most `size` bytes from now on."""
        self._reader.max_message = size

    def close_oversized(self) -> None:
        """See `FragmentSender`."""
        self._fragment_bytes = 0
        self._reader = frames.FrameReader(0)
        self.close(frames.TRY_AGAIN_LATER)

    def start(self) -> None:
        """Start to read."""
        self._loop.watch(self._fd, self._handle, READ)

    def pause(self) -> None:
        """Handle no message until `resume`: a worker that may block handles the last one."""
        self._paused = True

    def resume(self) -> None:
        """Handle the messages that arrived during a pause, and those that follow."""
        self._paused = False
        self._process()

    def close(self, code: int = frames.GOING_AWAY) -> None:
        """Close after what is queued."""
        if self._state != OPEN:
            return
        self._state = CLOSING
        self.can_send = False
        self._out.append(frames.pack_close(code))
        self._waiting += len(self._out[-1])
        self._loop.call_later(_LINGER, self.abort)
        if not self._corked:
            self.flush()
            self._shut_down()

    def abort(self) -> None:
        """Close at once, without what is queued."""
        if self._state == CLOSED:
            return
        self._state = CLOSED
        self.can_send = False
        self._remove_pieces(len(self._out))
        self._waiting = 0
        self._count_fragments(0)
        self._loop.close_socket(self._sock)
        self._owner.connection_lost()

    def _handle(self, events: int) -> None:
        if events & WRITE:
            self._drain()
        if events & READ and self._events & READ:
            self._read()
        elif events & BROKEN:
            self.abort()

    def _drain(self) -> None:
        self._set_events(self._events & ~WRITE)
        self.flush()
        if not self._out and self._state == OPEN:
            self._process()
            self._owner.drained()
        self._shut_down()

    def _shut_down(self) -> None:
        """Shut the sending side once everything is out; the client then closes its own."""
        if self._state == CLOSING and not self._out:
            self._set_events(READ)
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.abort()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.abort()
        elif self._state == OPEN:
            self._reader.feed(data)
            self._process()

    def _process(self) -> None:
        """Handle the messages that have arrived; all answers leave in one write."""
        if self._corked or self._state != OPEN:
            return
        self._corked, self.can_send = True, False
        try:
            while self._state == OPEN and self._may_receive() and (frame := self._reader.next()) is not None:
                self._received += 1
                if frame[0] != frames.FRAGMENT:
                    self._receive(*frame)
        except frames.FrameError as error:
            self.close(error.code)
        finally:
            self._corked = False
            self.flush()
        fragment_bytes = self._reader.buffered if self._state == OPEN else 0
        if fragment_bytes != self._fragment_bytes:
            self._count_fragments(fragment_bytes)
        if self._state == OPEN:
            self._set_events(self._events | READ if self._may_receive() else self._events & ~READ)
        else:
            self._shut_down()

    def _count_fragments(self, size: int) -> None:
        self._fragment_bytes = size
        self._fragment_budget.set_size(self, size)

    def _may_receive(self) -> bool:
        """Return whether to handle another message now: not when paused, backed up, or above the frame rate."""
        if self._paused or self._waiting > self._max_waiting:
            return False
        second = int(self._loop.now)
        if second != self._second:
            self._second, self._received = second, 0
        elif self._received >= self._max_frames:
            if self._received == self._max_frames:
                self._received += 1
                self._loop.call_later(1.0, self._process)
            return False
        return True

    def _receive(self, kind: int, payload: bytes) -> None:
        if kind == frames.PING:
            self.enqueue(frames.pack(payload, frames.PONG))
        elif kind == frames.CLOSE:
            self.close(frames.reply_code(payload))
        elif kind != frames.PONG:
            self._owner.message_received(kind, payload)
