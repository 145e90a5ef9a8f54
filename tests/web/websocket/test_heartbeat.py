"""Each connection is pinged in its turn, and closed when it does not answer."""

from __future__ import annotations

from swallowtail.app.web.websocket.heartbeat import PingSchedule


class FakeTarget:
    """A connection that records its pings; `answers` is whether it answers them."""

    def __init__(self, *, answers: bool) -> None:
        self.closed = False
        self.answers = answers
        self.pinged: list[float] = []
        self.waits_since: float | None = None
        self.timed_out_at: float | None = None

    def ping(self, now: float) -> None:
        self.pinged.append(now)
        self.waits_since = now

    def is_overdue(self, pinged_at: float) -> bool:
        return self.waits_since == pinged_at

    def answer(self, schedule: PingSchedule, now: float) -> None:
        self.waits_since = None
        schedule.add(self, now)

    def time_out(self) -> None:
        self.closed = True


def test_a_connection_that_answers_is_pinged_again_and_one_that_does_not_is_closed() -> None:
    schedule = PingSchedule(25, 20)
    live, silent, closed = FakeTarget(answers=True), FakeTarget(answers=False), FakeTarget(answers=True)
    for target in (live, silent, closed):
        schedule.add(target, 0)
    closed.closed = True
    for now in range(1, 101):
        schedule.check(now)
        if live.waits_since is not None:
            live.answer(schedule, now)
        if silent.closed and silent.timed_out_at is None:
            silent.timed_out_at = now
    assert live.pinged == [25, 50, 75, 100]
    assert (silent.pinged, silent.timed_out_at) == ([25], 45)
    assert (closed.pinged, live.closed) == ([], False)


def test_a_process_that_was_suspended_closes_no_connection_for_it() -> None:
    schedule = PingSchedule(25, 20)
    live, silent = FakeTarget(answers=True), FakeTarget(answers=False)
    for target in (live, silent):
        schedule.add(target, 0)
    for now in range(26):
        schedule.check(now)
    # The pong arrived during the suspension, and is read after the first check.
    schedule.check(200)
    assert not live.closed
    live.answer(schedule, 200)
    for now in range(201, 220):
        schedule.check(now)
    assert (live.closed, silent.closed) == (False, False)
    schedule.check(220)
    assert (live.closed, silent.closed) == (False, True)
    schedule.check(225)
    assert live.pinged == [25, 225]
