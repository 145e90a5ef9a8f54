"""A connection writes what its client reads, keeps the rest of one message, and limits what it receives."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from swallowtail.app.web.engineio.packets import TextFrame
from swallowtail.app.web.websocket.connection import WebSocketConnection
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.app.web.websocket.frame_batch import FrameBatch
from swallowtail.app.web.websocket.frames import (
    CLOSE,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    TRY_AGAIN_LATER,
    pack,
    pack_close,
    payload_of,
)
from swallowtail.app.web.websocket.incoming_budget import IncomingBudget
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget
from swallowtail.app.web.websocket.send_queue import CLOSED
from tests.harness.waiting import wait_until
from tests.web.websocket.test_frames import client_frame


class RecordingOwner:
    """Records what happens to a connection."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.ends = 0
        self.drains = 0

    def message_received(self, kind: int, payload: bytes) -> None:
        assert kind == TEXT
        self.received.append(payload)

    def connection_lost(self) -> None:
        self.ends += 1

    def drained(self) -> None:
        self.drains += 1


class Scene:
    """A connection on a real pair of sockets and a real poller, driven by the test."""

    def __init__(
        self,
        *,
        rate: int = 1000,
        waiting: int = 65_536,
        outgoing: OutgoingBudget | None = None,
        incoming: IncomingBudget | None = None,
    ) -> None:
        ours, self.client = socket.socketpair()
        ours.setblocking(False)
        self.client.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.owner = RecordingOwner()
        self.loop = EventLoop(select.epoll(), lambda _: None, lambda work: work())
        self.outgoing = OutgoingBudget(10**9) if outgoing is None else outgoing
        limits: dict[str, Any] = {"max_message": 10_000, "max_waiting": waiting, "max_frames": rate}
        self.incoming = IncomingBudget(10**9) if incoming is None else incoming
        budgets: Any = {"outgoing": self.outgoing, "incoming": self.incoming}
        self.connection = WebSocketConnection(self.loop, ours, self.owner, **limits, **budgets)
        self.connection.start()

    def send(self, *frames: bytes) -> None:
        self.client.sendall(b"".join(frames))
        self.loop.run_once()

    def read(self) -> bytes:
        """Everything that the client can read now."""
        data = b""
        while True:
            try:
                chunk = self.client.recv(1 << 20)
            except BlockingIOError:
                return data
            if not chunk:
                return data
            data += chunk

    def close(self) -> None:
        self.connection.abort()
        self.client.close()


@pytest.fixture
def scene() -> Iterator[type[Scene]]:
    scenes: list[Scene] = []

    class Kept(Scene):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            scenes.append(self)

    yield Kept
    for one in scenes:
        one.close()


def batch(count: int, size: int) -> FrameBatch:
    return FrameBatch([TextFrame(b"%06d" % number + b"x" * size) for number in range(count)])


def test_messages_are_received_in_order_and_answers_leave_in_one_write(scene: type[Scene]) -> None:
    s = scene()
    s.send(client_frame(b"one"), client_frame(b"two"), client_frame(b"!", PING))
    assert s.owner.received == [b"one", b"two"]
    assert s.read() == pack(b"!", PONG)


def test_a_client_that_reads_everything_gets_everything(scene: type[Scene]) -> None:
    s = scene()
    few = batch(3, 10)
    assert (s.connection.can_send, s.connection.offer(few), s.connection.can_send) == (True, 3, True)
    assert s.read() == few.data


def test_of_what_a_client_does_not_read_only_the_rest_of_one_message_is_kept(scene: type[Scene]) -> None:
    s = scene()
    many = batch(200, 1000)
    out = s.connection.offer(many)
    assert 0 < out < 200
    assert not s.connection.can_send
    assert not s.connection.is_ready
    assert s.connection._waiting < len(many.frames[0].wire)
    assert [s.connection.offer(many) for _ in range(3)] == [0, 0, 0]
    data = b""
    while s.owner.drains == 0:
        data += s.read()
        s.loop.run_once()
    data += s.read()
    assert data == b"".join(frame.wire for frame in many.frames[:out])
    assert (s.connection.can_send, s.connection.is_ready, s.connection._waiting) == (True, True, 0)


def test_a_message_for_one_client_waits_behind_the_others_and_arrives_in_order(scene: type[Scene]) -> None:
    s = scene()
    many = batch(200, 1000)
    out = s.connection.offer(many)
    s.connection.enqueue(pack(b"direct"))
    data = b""
    while s.owner.drains == 0:
        data += s.read()
        s.loop.run_once()
    assert (data + s.read()) == b"".join(frame.wire for frame in many.frames[:out]) + pack(b"direct")


def test_a_client_that_reads_nothing_of_far_too_much_is_disconnected(scene: type[Scene]) -> None:
    s = scene(waiting=4096)
    s.connection.offer(batch(200, 1000))
    for _ in range(100):
        s.connection.enqueue(pack(b"x" * 1000))
    assert (s.owner.ends, s.connection._state, s.connection._waiting) == (1, CLOSED, 0)
    assert s.connection.offer(batch(2, 10)) == 2, "a closed connection takes everything"


def test_messages_above_the_frame_rate_are_received_later(scene: type[Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene(rate=10)
    s.send(*[client_frame(b"%d" % number) for number in range(25)])
    assert len(s.owner.received) <= 20, "a second may have passed in the middle"

    def everything_is_received() -> bool:
        s.loop.run_once()
        return len(s.owner.received) == 25

    wait_until(everything_is_received, "everything is received in the end", timeout=30)
    assert s.owner.received == [b"%d" % number for number in range(25)]


def test_nothing_is_received_during_a_pause(scene: type[Scene]) -> None:
    s = scene()
    s.connection.pause()
    s.send(client_frame(b"one"))
    assert s.owner.received == []
    s.connection.resume()
    assert s.owner.received == [b"one"]


def test_a_client_that_closes_gets_a_close_frame_and_is_lost_once(scene: type[Scene]) -> None:
    s = scene()
    s.send(client_frame((1000).to_bytes(2, "big"), CLOSE))
    assert s.read() == pack_close(1000)
    s.client.close()
    s.loop.run_once()
    assert (s.owner.ends, s.connection._state) == (1, CLOSED)


def test_a_client_that_violates_the_protocol_gets_the_code_after_earlier_messages(scene: type[Scene]) -> None:
    s = scene()
    s.send(client_frame(b"fine"), pack(b"not masked"), client_frame(b"never received"))
    assert s.owner.received == [b"fine"]
    assert payload_of(s.read()) == PROTOCOL_ERROR.to_bytes(2, "big")


def test_a_client_that_vanishes_is_lost_once(scene: type[Scene]) -> None:
    s = scene()
    s.client.close()
    for _ in range(3):
        s.loop.run_once()
    s.connection.enqueue(pack(b"too late"))
    assert s.owner.ends == 1


def test_every_fragment_of_a_message_counts_against_the_rate(scene: type[Scene]) -> None:
    s = scene(rate=10)
    fragments = [client_frame(b"%d" % (number % 10), 0 if number else TEXT, final=False) for number in range(100)]
    s.send(*fragments)
    assert 80 * len(fragments[0]) <= s.connection._reader.unread, "a second may have passed in the middle"


def test_a_fragmented_message_has_the_size_limit_of_the_moment(scene: type[Scene]) -> None:
    s = scene()
    s.connection.set_max_message(100)
    s.send(client_frame(b"x" * 100))
    s.send(client_frame(b"x" * 60, final=False), client_frame(b"x" * 60, 0))
    assert s.owner.received == [b"x" * 100]
    assert payload_of(s.read()) == TOO_BIG.to_bytes(2, "big")


def test_incomplete_messages_share_one_budget_and_the_largest_is_closed(scene: type[Scene]) -> None:
    incoming = IncomingBudget(10_000)
    few, most, last = (scene(incoming=incoming) for _ in range(3))
    few.send(client_frame(b"x" * 3000, final=False))
    most.send(client_frame(b"x" * 9000)[:5000])
    assert (incoming.used, most.read()) == (8000, b"")
    last.send(client_frame(b"x" * 4000, final=False))
    assert (payload_of(most.read()), incoming.used) == (TRY_AGAIN_LATER.to_bytes(2, "big"), 7000)
    few.send(client_frame(b"y", 0))
    assert (few.owner.received, incoming.used) == ([b"x" * 3000 + b"y"], 4000)
    last.connection.abort()
    assert incoming.used == 0
