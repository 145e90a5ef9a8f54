"""One websocket on a socket that never waits: no thread, no greenlet, no queue. The last stop of the road.

What a client takes at once is written at once. Of what it does not take, only the rest of the message that was cut in
two is kept; the messages after it stay where they are, and their cursor waits until the socket has drained.
"""

from __future__ import annotations

import socket
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

from swallowtail.app.web.websocket.event_loop import BROKEN, READ, WRITE, EventLoop
from swallowtail.app.web.websocket.frames import (
    CLOSE,
    GOING_AWAY,
    LATER,
    PIECE,
    PING,
    PONG,
    FrameError,
    FrameReader,
    pack,
    pack_close,
)
from swallowtail.app.web.websocket.incoming_budget import IncomingBudget
from swallowtail.app.web.websocket.outgoing_budget import OWN_QUEUE, OutgoingBudget, Piece

#: Most bytes that are read at once.
_CHUNK = 32_768
#: Pieces for one client that may wait whatever their size: pings, and the answer to its last question.
_SOME = 18
#: Pieces that are written at once; the kernel takes no more than 1024.
_AT_ONCE = 64
#: Seconds that a client has to close its side after we have closed ours.
_LINGER = 2.0
_OPEN, _CLOSING, _CLOSED = range(3)


class ConnectionOwner(Protocol):
    """Whoever a connection belongs to."""

    def hear(self, kind: int, payload: bytes) -> None:
        """Take a message of the client. Must not wait."""

    def lost(self) -> None:
        """Learn that the connection is gone. Called once."""

    def drained(self) -> None:
        """Learn that the client takes messages again."""


class FramedMessage(Protocol):
    """A message with the whole websocket frame that brings it."""

    wire: bytes


class Batch:
    """Messages that leave in one write, joined once for any number of clients."""

    __slots__ = ("_ends", "count", "data", "frames", "size")

    def __init__(self, frames: Sequence[FramedMessage]) -> None:
        self.frames = frames
        self.count = len(frames)
        self.data = frames[0].wire if self.count == 1 else b"".join([frame.wire for frame in frames])
        self.size = len(self.data)
        self._ends: list[int] | None = None

    def cut(self, sent: int) -> tuple[int, memoryview | None]:
        """Return how many messages are out once `sent` bytes are, the one cut in two included, and its rest."""
        if not sent:
            return 0, None
        if self._ends is None:
            self._ends = list(accumulate(len(frame.wire) for frame in self.frames))
        place = bisect_left(self._ends, sent)
        missing = self._ends[place] - sent
        # A view of the shared message: even the rest of it is no copy.
        return place + 1, memoryview(self.frames[place].wire)[-missing:] if missing else None


class Connection:
    """A client's websocket. `clear` tells that nothing waits and `send` may be called directly."""

    __slots__ = (
        "_busy", "_corked", "_events", "_fd", "_heard", "_held", "_kept", "_most_heard", "_most_waiting", "_out",
        "_outbound", "_owner", "_partials", "_reactor", "_reader", "_second", "_sock", "_state", "_waiting", "clear",
        "send",
    )  # fmt: skip

    def __init__(
        self,
        reactor: EventLoop,
        sock: socket.socket,
        owner: ConnectionOwner,
        *,
        longest: int,
        waiting: int,
        rate: int,
        outbound: OutgoingBudget,
        partials: IncomingBudget,
    ) -> None:
        """`longest`: bytes of a message; `waiting`: bytes kept for a client; `rate`: frames heard per second."""
        self.send = sock.send
        self.clear = True
        self._sock = sock
        self._fd = sock.fileno()
        self._owner = owner
        self._reactor = reactor
        self._reader = FrameReader(longest)
        self._partials = partials
        #: Bytes of a message that is not all there, as the process's budget knows them.
        self._kept = 0
        self._most_waiting = waiting
        self._most_heard = rate
        #: What is still to be sent. Messages that others are sent too are the same objects, and never copied.
        self._out: list[Piece] = []
        #: How many of these, from the first, the process's budget knows of.
        self._held = 0
        self._outbound = outbound
        self._waiting = 0
        self._events = READ
        self._state = _OPEN
        self._busy = False
        self._corked = False
        self._second = 0
        self._heard = 0

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._state == _OPEN

    @property
    def is_ready(self) -> bool:
        """Whether a message would be taken now, if only in part."""
        return not self._events & WRITE

    @property
    def waiting(self) -> int:
        """Bytes that wait for the client to take them."""
        return self._waiting

    def limit(self, longest: int) -> None:
        """Hear messages of at most so many bytes from now on."""
        self._reader.most = longest

    def cut_off(self) -> None:
        """See `Sender`."""
        self._kept = 0
        self._reader = FrameReader(0)
        self.end(LATER)

    def start(self) -> None:
        """Begin to read."""
        self._reactor.watch(self._fd, self._handle, READ)

    def tell(self, *pieces: bytes) -> None:
        """Send a message for this client alone, or keep it. A client that has far too much waiting is given up."""
        if self._state != _OPEN:
            return
        if self._waiting > self._most_waiting and len(self._out) > _SOME:
            OWN_QUEUE.inc()
            self.lose()
            return
        for piece in pieces:
            self._out.append(piece)
            self._waiting += len(piece)
        self.clear = False
        if not self._corked:
            self.flush()

    def offer(self, batch: Batch) -> int:
        """Send messages as far as the client takes them; returns how many are out. One that is gone takes all."""
        if self._state != _OPEN:
            return batch.count
        if self._out:
            self.flush()
        if self._out or self._state != _OPEN:
            return 0
        try:
            sent = self.send(batch.data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.lose()
            return batch.count
        return batch.count if sent == batch.size else self.keep(batch, sent)

    def keep(self, batch: Batch, sent: int) -> int:
        """Note that only so many bytes of a batch could be written; returns how many messages are out."""
        out, rest = batch.cut(sent)
        if rest is not None:
            self._out.append(rest)
            self._waiting += len(rest)
        self.clear = False
        self._listen_for(self._events | WRITE)
        self._wait()
        return out

    def flush(self) -> None:
        """Send what waits."""
        while self._out:
            if self._events & WRITE:
                self._wait()
                return
            try:
                sent = self._sock.sendmsg(self._out[:_AT_ONCE]) if len(self._out) > 1 else self.send(self._out[0])
            except BlockingIOError:
                sent = 0
            except OSError:
                self.lose()
                return
            if not self._take_out(sent):
                self._listen_for(self._events | WRITE)
        if not self._events & WRITE:
            self.clear = self._state == _OPEN and not self._corked

    def _take_out(self, sent: int) -> bool:
        """Let go of so many bytes, which are sent; tells whether they end with all that was to be written."""
        self._waiting -= sent
        if sent and self._held:
            self._outbound.moved(self)
        done = 0
        for piece in self._out[:_AT_ONCE]:
            if sent < len(piece):
                # A view: even the rest of a shared message is no copy.
                self._out[done] = memoryview(piece)[sent:]
                break
            sent -= len(piece)
            done += 1
        whole = done == min(len(self._out), _AT_ONCE)
        self._let_go(done)
        return whole

    def _wait(self) -> None:
        """Have the process know of all that waits here. It may end this connection for it."""
        if self._held == len(self._out):
            return
        for piece in self._out[self._held :]:
            self._outbound.hold(piece)
        self._held = len(self._out)
        self._outbound.join(self)
        self._outbound.relieve()

    def _let_go(self, count: int) -> None:
        """Forget the first pieces."""
        for piece in self._out[: min(count, self._held)]:
            self._outbound.release(piece)
        self._held = max(0, self._held - count)
        del self._out[:count]
        if not self._out:
            self._outbound.leave(self)

    def hold(self) -> None:
        """Hear nothing until `go_on`: what the client said is being looked after by somebody who may wait."""
        self._busy = True

    def gather(self, work: Callable[[], None]) -> None:
        """Do something that says several things to the client, and have them leave in one write."""
        self._corked, self.clear = True, False
        try:
            work()
        finally:
            self._corked = False
            self.flush()

    def go_on(self) -> None:
        """Hear what came meanwhile, and what comes."""
        self._busy = False
        self._process()

    def end(self, code: int = GOING_AWAY) -> None:
        """Close, after what waits."""
        if self._state != _OPEN:
            return
        self._state = _CLOSING
        self.clear = False
        self._out.append(pack_close(code))
        self._waiting += len(self._out[-1])
        self._reactor.after(_LINGER, self.lose)
        if not self._corked:
            self.flush()
            self._shut()

    def lose(self) -> None:
        """Close at once."""
        if self._state == _CLOSED:
            return
        self._state = _CLOSED
        self.clear = False
        self._let_go(len(self._out))
        self._waiting = 0
        self._note_kept(0)
        self._reactor.discard(self._sock)
        self._owner.lost()

    def _handle(self, events: int) -> None:
        if events & WRITE:
            self._drain()
        if events & READ and self._events & READ:
            self._read()
        elif events & BROKEN:
            self.lose()

    def _drain(self) -> None:
        self._listen_for(self._events & ~WRITE)
        self.flush()
        if not self._out and self._state == _OPEN:
            self._process()
            self._owner.drained()
        self._shut()

    def _shut(self) -> None:
        """Once everything is out, let the client know that nothing follows; it closes then."""
        if self._state == _CLOSING and not self._out:
            self._listen_for(READ)
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.lose()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lose()
        elif self._state == _OPEN:
            self._reader.feed(data)
            self._process()

    def _process(self) -> None:
        """Hear what has arrived; everything that is said meanwhile leaves in one write."""
        if self._corked or self._state != _OPEN:
            return
        self._corked, self.clear = True, False
        try:
            while self._state == _OPEN and self._may_hear() and (found := self._reader.next()) is not None:
                self._heard += 1
                if found[0] != PIECE:
                    self._hear(*found)
        except FrameError as fault:
            self.end(fault.code)
        finally:
            self._corked = False
            self.flush()
        kept = self._reader.held if self._state == _OPEN else 0
        if kept != self._kept:
            self._note_kept(kept)
        if self._state == _OPEN:
            self._listen_for(self._events | READ if self._may_hear() else self._events & ~READ)
        else:
            self._shut()

    def _note_kept(self, kept: int) -> None:
        self._kept = kept
        self._partials.note(self, kept)

    def _may_hear(self) -> bool:
        """Tell whether more may be heard now: not from who is being answered, takes no answers, or says too much."""
        if self._busy or self._waiting > self._most_waiting:
            return False
        second = int(self._reactor.now)
        if second != self._second:
            self._second, self._heard = second, 0
        elif self._heard >= self._most_heard:
            if self._heard == self._most_heard:
                self._heard += 1
                self._reactor.after(1.0, self._process)
            return False
        return True

    def _hear(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self.tell(pack(payload, PONG))
        elif kind == CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else GOING_AWAY
            self.end(code if 1000 <= code < 5000 and code not in (1005, 1006, 1015) else GOING_AWAY)
        elif kind != PONG:
            self._owner.hear(kind, payload)

    def _listen_for(self, events: int) -> None:
        if events != self._events and self._state != _CLOSED:
            self._events = events
            self._reactor.change(self._fd, events)
