"""Pings from one place: each connection is asked in its turn, and given up when it does not answer."""

from __future__ import annotations

from swallowtail.app.web.websocket.heartbeat import PingSchedule


class Heart:
    """A connection on paper; `answers` is whether it answers pings."""

    def __init__(self, *, answers: bool) -> None:
        self.closed = False
        self.answers = answers
        self.asked: list[float] = []
        self.waits_since: float | None = None
        self.given_up_at: float | None = None

    def ping(self, now: float) -> None:
        self.asked.append(now)
        self.waits_since = now

    def is_overdue(self, asked_at: float) -> bool:
        return self.waits_since == asked_at

    def answer(self, pulse: PingSchedule, now: float) -> None:
        self.waits_since = None
        pulse.plan(self, now)

    def give_up(self) -> None:
        self.closed = True


def test_who_answers_is_asked_again_and_who_does_not_is_given_up() -> None:
    pulse = PingSchedule(25, 20)
    lively, deaf, gone = Heart(answers=True), Heart(answers=False), Heart(answers=True)
    for heart in (lively, deaf, gone):
        pulse.plan(heart, 0)
    gone.closed = True
    for now in range(1, 101):
        pulse.look(now)
        if lively.waits_since is not None:
            lively.answer(pulse, now)
        if deaf.closed and deaf.given_up_at is None:
            deaf.given_up_at = now
    assert lively.asked == [25, 50, 75, 100]
    assert (deaf.asked, deaf.given_up_at) == ([25], 45)
    assert (gone.asked, lively.closed) == ([], False)


def test_nobody_is_given_up_by_a_process_that_was_away_itself() -> None:
    pulse = PingSchedule(25, 20)
    lively, deaf = Heart(answers=True), Heart(answers=False)
    for heart in (lively, deaf):
        pulse.plan(heart, 0)
    for now in range(26):
        pulse.look(now)
    # The answer came while nobody listened, and is heard after the first look.
    pulse.look(200)
    assert not lively.closed
    lively.answer(pulse, 200)
    for now in range(201, 220):
        pulse.look(now)
    assert (lively.closed, deaf.closed) == (False, False)
    pulse.look(220)
    assert (lively.closed, deaf.closed) == (False, True)
    pulse.look(225)
    assert lively.asked == [25, 225]
