"""A full process sheds the connection that waits longest for its request; each request has one deadline."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from swallowtail.app.web.accept import served_connections
from tests.web.accept.acceptor_scene import HEAD, answer


class FakeReader:
    """A dispatched request, with or without a body that is still to come."""

    def __init__(self, *, is_reading: bool, is_busy: bool = False) -> None:
        self.waits = is_reading
        self.is_busy = is_busy
        self.cuts: list[int] = []

    def is_reading(self) -> bool:
        return self.waits

    def is_waiting(self) -> bool:
        return self.waits and not self.is_busy

    def cut(self, how: int) -> None:
        self.cuts.append(how)


def test_the_connection_that_waits_longest_for_the_rest_of_its_request_is_shed(scene: Any) -> None:
    s = scene(max_connections=3)
    busy, first, second = (FakeReader(is_reading=number > 0) for number in range(3))
    for reader in (busy, first, second):
        s.connect(HEAD)
        s.deadlines.begin(reader, s.dispatched[-1][1])
    s.connect(HEAD)
    assert (len(s.dispatched), first.cuts, second.cuts, busy.cuts) == (4, [socket.SHUT_RD], [], [])
    # The shed connection has closed; the new one already has its place.
    s.served.remove(s.dispatched[1][1])
    s.connect(HEAD)
    assert (len(s.dispatched), second.cuts) == (5, [socket.SHUT_RD])
    assert answer(s.connect(HEAD)) == b"HTTP/1.1 503 Service Unavailable", "no other waits for its client"


def test_shed_connections_that_stay_open_are_limited(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_connections, "MAX_SHED", 2)
    s = scene(max_connections=4)
    for _ in range(4):
        s.connect(HEAD)
        s.deadlines.begin(FakeReader(is_reading=True), s.dispatched[-1][1])
    for _ in range(3):
        last = s.connect(HEAD)
    assert (len(s.dispatched), answer(last)) == (6, b"HTTP/1.1 503 Service Unavailable")
    # One that was not shed closes: one place is free, and as many shed connections as before are open.
    s.served.remove(s.dispatched[-1][1])
    s.connect(HEAD)
    assert (len(s.dispatched), answer(s.connect(HEAD))) == (7, b"HTTP/1.1 503 Service Unavailable")
    s.served.remove(s.dispatched[0][1])
    s.connect(HEAD)
    assert (len(s.dispatched), s.deadlines.shed_count) == (8, 2)


def test_a_connection_whose_handler_works_is_not_shed_and_keeps_its_response(scene: Any) -> None:
    s = scene(max_connections=2)
    works, waits = FakeReader(is_reading=True, is_busy=True), FakeReader(is_reading=True)
    for reader in (works, waits):
        s.connect(HEAD)
        s.deadlines.begin(reader, s.dispatched[-1][1])
    s.connect(HEAD)
    assert (works.cuts, waits.cuts) == ([], [socket.SHUT_RD])
    late = time.monotonic() + 10_000
    s.deadlines.check(late)
    assert works.cuts == [], "it is not cut while it works, late as it is"
    works.is_busy = False
    s.deadlines.check(late)
    assert works.cuts == [socket.SHUT_RD], "it is cut as soon as it waits for its client again"


def test_the_pause_before_the_first_byte_does_not_count_for_the_request(scene: Any) -> None:
    s = scene(request_seconds=600)
    client = s.connect()
    (pending,) = s.acceptor._pending.values()
    pending.since -= 599
    s.send(client, HEAD)
    s.wait_for(1)
    reader = FakeReader(is_reading=True)
    s.deadlines.begin(reader, s.dispatched[0][1])
    s.deadlines.check(time.monotonic() + 590)
    assert reader.cuts == []
    s.deadlines.check(time.monotonic() + 601)
    assert reader.cuts == [socket.SHUT_RD]


def test_a_slow_head_leaves_less_time_for_the_body(scene: Any) -> None:
    s = scene()
    client = s.connect(HEAD[:10])
    (pending,) = s.acceptor._pending.values()
    s.send(client, HEAD[10:])
    s.wait_for(1)
    reader = FakeReader(is_reading=True)
    s.deadlines.begin(reader, s.dispatched[0][1])
    s.deadlines.check(pending.since + 599)
    assert reader.cuts == []
    s.deadlines.check(pending.since + 600)
    assert reader.cuts == [socket.SHUT_RD]
