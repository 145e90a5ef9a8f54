"""A connection writes what its client takes, keeps the rest of one message, and hears no more than it should."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from swallowtail.app.web.engineio.packets import TextFrame
from swallowtail.app.web.websocket.connection import Batch, Connection
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.app.web.websocket.frames import (
    CLOSE,
    LATER,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    pack,
    pack_close,
    payload_of,
)
from swallowtail.app.web.websocket.incoming_budget import IncomingBudget
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget
from tests.harness.waiting import wait_until
from tests.web.websocket.test_frames import client_frame


class Owner:
    """Notes what happens to a connection."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ends = 0
        self.drains = 0

    def hear(self, kind: int, payload: bytes) -> None:
        assert kind == TEXT
        self.heard.append(payload)

    def lost(self) -> None:
        self.ends += 1

    def drained(self) -> None:
        self.drains += 1


class Scene:
    """A connection on a real pair of sockets and a real poller, moved by hand."""

    def __init__(
        self,
        *,
        rate: int = 1000,
        waiting: int = 65_536,
        outbound: OutgoingBudget | None = None,
        partials: IncomingBudget | None = None,
    ) -> None:
        ours, self.client = socket.socketpair()
        ours.setblocking(False)
        self.client.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.owner = Owner()
        self.reactor = EventLoop(select.epoll(), lambda _: None, lambda work: work())
        self.outbound = OutgoingBudget(10**9) if outbound is None else outbound
        limits: dict[str, Any] = {"longest": 10_000, "waiting": waiting, "rate": rate}
        self.partials = IncomingBudget(10**9) if partials is None else partials
        budgets: Any = {"outbound": self.outbound, "partials": self.partials}
        self.line = Connection(self.reactor, ours, self.owner, **limits, **budgets)
        self.line.start()

    def say(self, *frames: bytes) -> None:
        self.client.sendall(b"".join(frames))
        self.reactor.turn()

    def take(self) -> bytes:
        """Everything that the client can read now."""
        taken = b""
        while True:
            try:
                piece = self.client.recv(1 << 20)
            except BlockingIOError:
                return taken
            if not piece:
                return taken
            taken += piece

    def close(self) -> None:
        self.line.lose()
        self.client.close()


@pytest.fixture
def scene() -> Iterator[type[Scene]]:
    made: list[Scene] = []

    class Kept(Scene):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    yield Kept
    for one in made:
        one.close()


def batch(count: int, size: int) -> Batch:
    return Batch([TextFrame(b"%06d" % number + b"x" * size) for number in range(count)])


def test_messages_are_heard_in_order_and_answers_leave_in_one_write(scene: type[Scene]) -> None:
    s = scene()
    s.say(client_frame(b"one"), client_frame(b"two"), client_frame(b"!", PING))
    assert s.owner.heard == [b"one", b"two"]
    assert s.take() == pack(b"!", PONG)


def test_a_client_that_takes_everything_is_given_everything(scene: type[Scene]) -> None:
    s = scene()
    few = batch(3, 10)
    assert (s.line.clear, s.line.offer(few), s.line.clear) == (True, 3, True)
    assert s.take() == few.data


def test_of_what_a_client_does_not_take_only_the_rest_of_one_message_is_kept(scene: type[Scene]) -> None:
    s = scene()
    many = batch(200, 1000)
    out = s.line.offer(many)
    assert 0 < out < 200
    assert not s.line.clear
    assert not s.line.is_ready
    assert s.line.waiting < len(many.frames[0].wire)
    assert [s.line.offer(many) for _ in range(3)] == [0, 0, 0]
    taken = b""
    while s.owner.drains == 0:
        taken += s.take()
        s.reactor.turn()
    taken += s.take()
    assert taken == b"".join(frame.wire for frame in many.frames[:out])
    assert (s.line.clear, s.line.is_ready, s.line.waiting) == (True, True, 0)


def test_what_is_for_one_client_waits_behind_and_comes_in_order(scene: type[Scene]) -> None:
    s = scene()
    many = batch(200, 1000)
    out = s.line.offer(many)
    s.line.tell(pack(b"told"))
    taken = b""
    while s.owner.drains == 0:
        taken += s.take()
        s.reactor.turn()
    assert (taken + s.take()) == b"".join(frame.wire for frame in many.frames[:out]) + pack(b"told")


def test_a_client_that_takes_nothing_of_far_too_much_is_given_up(scene: type[Scene]) -> None:
    s = scene(waiting=4096)
    s.line.offer(batch(200, 1000))
    for _ in range(100):
        s.line.tell(pack(b"x" * 1000))
    assert (s.owner.ends, s.line.is_open, s.line.waiting) == (1, False, 0)
    assert s.line.offer(batch(2, 10)) == 2, "one that is gone takes everything"


def test_a_client_that_says_too_much_is_heard_later(scene: type[Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene(rate=10)
    s.say(*[client_frame(b"%d" % number) for number in range(25)])
    assert len(s.owner.heard) <= 20, "a second may have passed in the middle"

    def everything_is_heard() -> bool:
        s.reactor.turn()
        return len(s.owner.heard) == 25

    wait_until(everything_is_heard, "everything is heard in the end", timeout=30)
    assert s.owner.heard == [b"%d" % number for number in range(25)]


def test_nothing_is_heard_while_an_answer_is_being_made(scene: type[Scene]) -> None:
    s = scene()
    s.line.hold()
    s.say(client_frame(b"one"))
    assert s.owner.heard == []
    s.line.go_on()
    assert s.owner.heard == [b"one"]


def test_a_client_that_closes_is_answered_and_lost_once(scene: type[Scene]) -> None:
    s = scene()
    s.say(client_frame((1000).to_bytes(2, "big"), CLOSE))
    assert s.take() == pack_close(1000)
    s.client.close()
    s.reactor.turn()
    assert (s.owner.ends, s.line.is_open) == (1, False)


def test_a_client_that_breaks_the_protocol_is_told_so_after_what_was_before(scene: type[Scene]) -> None:
    s = scene()
    s.say(client_frame(b"fine"), pack(b"not masked"), client_frame(b"never heard"))
    assert s.owner.heard == [b"fine"]
    assert payload_of(s.take()) == PROTOCOL_ERROR.to_bytes(2, "big")


def test_a_client_that_vanishes_is_lost_once(scene: type[Scene]) -> None:
    s = scene()
    s.client.close()
    for _ in range(3):
        s.reactor.turn()
    s.line.tell(pack(b"nobody there"))
    assert s.owner.ends == 1


def test_every_piece_of_a_message_counts_against_the_rate(scene: type[Scene]) -> None:
    s = scene(rate=10)
    pieces = [client_frame(b"%d" % (number % 10), 0 if number else TEXT, final=False) for number in range(100)]
    s.say(*pieces)
    assert 80 * len(pieces[0]) <= s.line._reader.waiting, "a second may have passed in the middle"


def test_a_message_in_pieces_is_bounded_by_what_a_client_may_say_now(scene: type[Scene]) -> None:
    s = scene()
    s.line.limit(100)
    s.say(client_frame(b"x" * 100))
    s.say(client_frame(b"x" * 60, final=False), client_frame(b"x" * 60, 0))
    assert s.owner.heard == [b"x" * 100]
    assert payload_of(s.take()) == TOO_BIG.to_bytes(2, "big")


def test_what_is_kept_of_messages_in_pieces_has_one_budget_and_who_sent_most_goes(scene: type[Scene]) -> None:
    partials = IncomingBudget(10_000)
    few, most, last = (scene(partials=partials) for _ in range(3))
    few.say(client_frame(b"x" * 3000, final=False))
    most.say(client_frame(b"x" * 9000)[:5000])
    assert (partials.used, most.take()) == (8000, b"")
    last.say(client_frame(b"x" * 4000, final=False))
    assert (payload_of(most.take()), partials.used) == (LATER.to_bytes(2, "big"), 7000)
    few.say(client_frame(b"y", 0))
    assert (few.owner.heard, partials.used) == ([b"x" * 3000 + b"y"], 4000)
    last.line.lose()
    assert partials.used == 0
