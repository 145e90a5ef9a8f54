"""Holds what one websocket connection has not sent yet, and writes it when its socket takes it.

A message that the socket takes at once never enters the queue. Of a message that the socket cut in two, only the rest
is queued; later messages stay with the client's cursor until the socket has drained.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from swallowtail.app.web.websocket.event_loop import READ, WRITE, EventLoop
from swallowtail.app.web.websocket.frame_batch import FrameBatch
from swallowtail.app.web.websocket.outgoing_budget import OWN_QUEUE, OutgoingBudget, Piece

#: Pieces of any size that may wait for one client: pings, and the answer to its last request.
_MIN_PIECES = 18
#: Pieces per write; the kernel takes at most 1024.
_PIECES_PER_WRITE = 64
OPEN, CLOSING, CLOSED = range(3)


class SendQueue:
    """The sending half of a `WebSocketConnection`. While `can_send` is true, `send` may be called directly."""

    __slots__ = (
        "_budget",
        "_corked",
        "_events",
        "_fd",
        "_loop",
        "_max_waiting",
        "_out",
        "_pieces_in_budget",
        "_sock",
        "_state",
        "_waiting",
        "can_send",
        "send",
    )  # fmt: skip

    def __init__(self, loop: EventLoop, sock: socket.socket, max_waiting: int, budget: OutgoingBudget) -> None:
        self.send = sock.send
        self.can_send = True
        self._sock = sock
        self._fd = sock.fileno()
        self._loop = loop
        self._max_waiting = max_waiting
        #: What is still to be sent. Messages that other clients get too are the same objects and never copied.
        self._out: list[Piece] = []
        #: How many pieces, from the first, the process's budget counts.
        self._pieces_in_budget = 0
        self._budget = budget
        #: Bytes that wait until the client reads.
        self._waiting = 0
        self._events = READ
        self._state = OPEN
        self._corked = False

    @property
    def is_ready(self) -> bool:
        """Whether the socket would take at least a part of a message now."""
        return not self._events & WRITE

    def enqueue(self, *pieces: bytes) -> None:
        """Send a message to this client alone, or queue it. Aborts a connection with far too much in its queue."""
        if self._state != OPEN:
            return
        if self._waiting > self._max_waiting and len(self._out) > _MIN_PIECES:
            OWN_QUEUE.inc()
            self.abort()
            return
        for piece in pieces:
            self._out.append(piece)
            self._waiting += len(piece)
        self.can_send = False
        if not self._corked:
            self.flush()

    def offer(self, batch: FrameBatch) -> int:
        """Send what the socket takes; return how many messages are out. A closed connection takes all."""
        if self._state != OPEN:
            return batch.count
        if self._out:
            self.flush()
        if self._out or self._state != OPEN:
            return 0
        try:
            sent = self.send(batch.data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.abort()
            return batch.count
        return batch.count if sent == batch.size else self.keep_rest(batch, sent)

    def keep_rest(self, batch: FrameBatch, sent: int) -> int:
        """Queue the rest of the message that was cut after `sent` bytes; return how many messages are out."""
        out, rest = batch.cut(sent)
        if rest is not None:
            self._out.append(rest)
            self._waiting += len(rest)
        self.can_send = False
        self._set_events(self._events | WRITE)
        self._count_waiting()
        return out

    def flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        while self._out:
            if self._events & WRITE:
                self._count_waiting()
                return
            try:
                sent = (
                    self._sock.sendmsg(self._out[:_PIECES_PER_WRITE]) if len(self._out) > 1 else self.send(self._out[0])
                )
            except BlockingIOError:
                sent = 0
            except OSError:
                self.abort()
                return
            if not self._remove_sent(sent):
                self._set_events(self._events | WRITE)
        if not self._events & WRITE:
            self.can_send = self._state == OPEN and not self._corked

    def coalesce_writes(self, work: Callable[[], None]) -> None:
        """Run `work`, and send all messages that it enqueues in one write."""
        self._corked, self.can_send = True, False
        try:
            work()
        finally:
            self._corked = False
            self.flush()

    def abort(self) -> None:
        """Close at once, without what is queued."""
        raise NotImplementedError

    def _remove_sent(self, sent: int) -> bool:
        """Remove `sent` bytes from the queue; return whether the last write took all that it was passed."""
        self._waiting -= sent
        if sent and self._pieces_in_budget:
            self._budget.mark_progress(self)
        done = 0
        for piece in self._out[:_PIECES_PER_WRITE]:
            if sent < len(piece):
                # A view: the rest of a shared message is not copied.
                self._out[done] = memoryview(piece)[sent:]
                break
            sent -= len(piece)
            done += 1
        complete = done == min(len(self._out), _PIECES_PER_WRITE)
        self._remove_pieces(done)
        return complete

    def _count_waiting(self) -> None:
        """Count the queue in the process's budget. The budget may abort this connection."""
        if self._pieces_in_budget == len(self._out):
            return
        for piece in self._out[self._pieces_in_budget :]:
            self._budget.add(piece)
        self._pieces_in_budget = len(self._out)
        self._budget.add_receiver(self)
        self._budget.enforce()

    def _remove_pieces(self, count: int) -> None:
        for piece in self._out[: min(count, self._pieces_in_budget)]:
            self._budget.remove(piece)
        self._pieces_in_budget = max(0, self._pieces_in_budget - count)
        del self._out[:count]
        if not self._out:
            self._budget.remove_receiver(self)

    def _set_events(self, events: int) -> None:
        if events != self._events and self._state != CLOSED:
            self._events = events
            self._loop.change(self._fd, events)
