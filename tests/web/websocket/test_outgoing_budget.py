"""A message that waits for many clients is kept once; above its budget a process closes the slowest clients."""

from __future__ import annotations

import orjson
import pytest

from swallowtail.app.web.engineio.packets import SharedFrame
from swallowtail.app.web.websocket.frames import TEXT, FrameReader, pack
from swallowtail.app.web.websocket.outgoing_budget import OVER_BUDGET, OWN_QUEUE, OutgoingBudget
from tests.web.websocket.test_connection import Scene, batch
from tests.web.websocket.test_connection import scene as scene

SNAPSHOT = orjson.dumps({"text": "äöü ☃ " * 100_000})


def _answer(number: int, snapshot: bytes = SNAPSHOT) -> tuple[bytes, bytes, bytes]:
    return SharedFrame(b'43%d[{"ok":true,"snapshot":' % number, snapshot, b"}]").parts


def _drain(s: Scene) -> bytes:
    data = s.read()
    while s.connection._waiting:
        s.loop.run_once()
        data += s.read()
    return data


def _masked(frame: bytes) -> bytes:
    """Return the frame as a client would send it."""
    place = {126: 4, 127: 10}.get(frame[1], 2)
    return bytes((frame[0], frame[1] | 0x80)) + frame[2:place] + bytes(4) + frame[place:]


@pytest.mark.parametrize("size", [1, 100, 200, 70_000])
def test_a_message_around_a_shared_part_is_one_frame_of_the_text(size: int) -> None:
    frame = SharedFrame(b'437[{"ok":true,"snapshot":', b'"' + b"x" * size + b'"', b"}]")
    text = b'437[{"ok":true,"snapshot":"%s"}]' % (b"x" * size)
    assert b"".join(frame.parts) == pack(b"4" + text)
    assert (frame.data, frame.encode()) == (text.decode(), "4" + text.decode())
    reader = FrameReader(100_000)
    reader.feed(_masked(b"".join(frame.parts)))
    assert reader.next() == (TEXT, b"4" + text)


def test_slow_clients_wait_for_one_object_and_each_gets_its_own_answer(scene: type[Scene]) -> None:
    outgoing = OutgoingBudget(10**9)
    slow = [scene(outgoing=outgoing) for _ in range(60)]
    for number, s in enumerate(slow):
        s.connection.enqueue(*_answer(number))
    for s in slow:
        shared = [piece.obj if isinstance(piece, memoryview) else piece for piece in s.connection._out]
        assert any(piece is SNAPSHOT for piece in shared), "a copy is queued"
        assert s.connection._waiting > 500_000
    # Once, and a few bytes around it for each.
    assert len(SNAPSHOT) <= outgoing.used < len(SNAPSHOT) + 60 * 100
    for number, s in enumerate(slow):
        assert _drain(s) == b"".join(_answer(number))
    assert (outgoing.used, len(outgoing._receivers)) == (0, 0)


def test_the_rest_of_an_event_is_shared_too(scene: type[Scene]) -> None:
    outgoing = OutgoingBudget(10**9)
    many = batch(3, 100_000)
    for s in [scene(outgoing=outgoing) for _ in range(20)]:
        assert s.connection.offer(many) == 1
    assert outgoing.used == len(many.frames[0].wire)


def test_many_pieces_leave_in_order(scene: type[Scene]) -> None:
    s = scene()
    payloads = [b"%04d" % number for number in range(500)]

    def send() -> None:
        for one in payloads:
            s.connection.enqueue(pack(one))

    s.connection.coalesce_writes(send)
    assert _drain(s) == b"".join(pack(one) for one in payloads)


def test_above_the_budget_the_client_without_progress_for_longest_is_closed_first(scene: type[Scene]) -> None:
    outgoing = OutgoingBudget(3 * 1_000_000)
    closed = OVER_BUDGET._value.get()
    own = [orjson.dumps(str(number) * 1_000_000) for number in range(4)]
    first, second, third, fourth = (scene(outgoing=outgoing) for _ in range(4))
    for number, s in enumerate((first, second)):
        s.connection.enqueue(*_answer(number, own[number]))
    # The first reads something, and is no longer the slowest.
    first.read()
    first.loop.run_once()
    third.connection.enqueue(*_answer(3, own[2]))
    assert [s.owner.ends for s in (first, second, third)] == [0, 1, 0]
    fourth.connection.enqueue(*_answer(4, own[3]))
    assert [s.owner.ends for s in (first, second, third, fourth)] == [1, 1, 0, 0]
    assert OVER_BUDGET._value.get() == closed + 2
    assert outgoing.used <= 3 * 1_000_000
    assert _drain(third) == b"".join(_answer(3, own[2]))
    assert _drain(fourth) == b"".join(_answer(4, own[3]))
    assert outgoing.used == 0


def test_a_client_with_more_than_the_whole_budget_is_closed_and_the_others_stay(scene: type[Scene]) -> None:
    outgoing = OutgoingBudget(1_000_000)
    quick, greedy = scene(outgoing=outgoing), scene(outgoing=outgoing)
    greedy.connection.enqueue(*_answer(1, b"1" * 2_000_000))
    quick.connection.enqueue(pack(b"hello"))
    assert (greedy.owner.ends, quick.owner.ends, quick.read()) == (1, 0, pack(b"hello"))
    assert outgoing.used == 0


def test_a_closed_connection_releases_its_waiting_bytes(scene: type[Scene]) -> None:
    outgoing = OutgoingBudget(10**9)
    s = scene(outgoing=outgoing)
    s.connection.enqueue(*_answer(1))
    s.connection.enqueue(pack(b"more"))
    assert outgoing.used > len(SNAPSHOT)
    s.connection.abort()
    assert (outgoing.used, len(outgoing._receivers), outgoing._holders) == (0, 0, {})


def test_a_client_with_too_many_answers_of_its_own_is_closed_and_counted(scene: type[Scene]) -> None:
    before = OWN_QUEUE._value.get()
    s = scene()
    for number in range(20):
        s.connection.enqueue(*_answer(number))
    assert (s.owner.ends, OWN_QUEUE._value.get()) == (1, before + 1)
    assert s.outgoing.used == 0
