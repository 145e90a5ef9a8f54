"""Who comes back when: a burst is let in, the rest is dealt out over the seconds that follow."""

from __future__ import annotations

import itertools

from swallowtail.app.web.socketio.resume_rate import LONGEST, ResumeRate, spread_reconnects


def test_the_share_of_a_second_may_begin_at_once() -> None:
    pace = ResumeRate(100)
    assert [pace.admit(5.0) for _ in range(101)] == [0.0] * 101
    assert pace.admit(5.0) > 0


def test_the_rest_is_dealt_out_at_the_rate() -> None:
    pace = ResumeRate(100)
    while pace.admit(5.0) == 0:
        pass
    waits = [pace.admit(5.0) for _ in range(200)]
    steps = {round(later - earlier, 6) for earlier, later in itertools.pairwise(waits)}
    assert steps == {0.01}
    assert 0 < waits[0] < 0.05


def test_whoever_keeps_the_appointment_is_let_in() -> None:
    pace = ResumeRate(50)
    coming = [(5.0, number) for number in range(300)]
    begun: list[float] = []
    asked = 0
    while coming:
        coming.sort()
        now, number = coming.pop(0)
        asked += 1
        wait = pace.admit(now)
        if wait:
            coming.append((now + wait, number))
        else:
            begun.append(now)
    assert len(begun) == 300
    assert max(begun) < 5.0 + 300 / 50
    # Nearly everybody is let in at the appointment.
    assert asked < 600
    for second in range(5, 12):
        assert sum(second <= moment < second + 1 for moment in begun) <= 102


def test_a_pause_makes_room_again() -> None:
    pace = ResumeRate(10)
    while pace.admit(5.0) == 0:
        pass
    assert pace.admit(5.9) == 0
    assert pace.admit(100.0) == 0


def test_nobody_is_sent_away_for_longer_than_a_minute() -> None:
    pace = ResumeRate(1)
    assert max(pace.admit(5.0) for _ in range(500)) == LONGEST
    assert max(spread_reconnects(10_000, 1)) <= LONGEST


def test_clients_of_a_process_that_ends_are_spread_over_their_time() -> None:
    moments = sorted(spread_reconnects(1000, 500))
    assert 0 <= moments[0] < 0.1
    assert 1.9 < moments[-1] <= 2.0
    assert 300 < sum(moment < 1.0 for moment in moments) < 700
