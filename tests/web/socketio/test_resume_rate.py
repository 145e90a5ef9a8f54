"""A burst of clients resumes at once; the others get delays over the following seconds."""

from __future__ import annotations

import itertools

from swallowtail.app.web.socketio.resume_rate import MAX_DELAY, ResumeRate, spread_reconnects


def test_the_share_of_a_second_may_begin_at_once() -> None:
    rate = ResumeRate(100)
    assert [rate.acquire(5.0) for _ in range(101)] == [0.0] * 101
    assert rate.acquire(5.0) > 0


def test_the_others_get_delays_at_the_rate() -> None:
    rate = ResumeRate(100)
    while rate.acquire(5.0) == 0:
        pass
    waits = [rate.acquire(5.0) for _ in range(200)]
    steps = {round(later - earlier, 6) for earlier, later in itertools.pairwise(waits)}
    assert steps == {0.01}
    assert 0 < waits[0] < 0.05


def test_a_client_that_returns_in_time_resumes() -> None:
    rate = ResumeRate(50)
    clients = [(5.0, number) for number in range(300)]
    resumed: list[float] = []
    attempts = 0
    while clients:
        clients.sort()
        now, number = clients.pop(0)
        attempts += 1
        wait = rate.acquire(now)
        if wait:
            clients.append((now + wait, number))
        else:
            resumed.append(now)
    assert len(resumed) == 300
    assert max(resumed) < 5.0 + 300 / 50
    # Nearly every client resumes at its second attempt.
    assert attempts < 600
    for second in range(5, 12):
        assert sum(second <= moment < second + 1 for moment in resumed) <= 102


def test_a_pause_frees_the_rate_again() -> None:
    rate = ResumeRate(10)
    while rate.acquire(5.0) == 0:
        pass
    assert rate.acquire(5.9) == 0
    assert rate.acquire(100.0) == 0


def test_no_delay_is_longer_than_a_minute() -> None:
    rate = ResumeRate(1)
    assert max(rate.acquire(5.0) for _ in range(500)) == MAX_DELAY
    assert max(spread_reconnects(10_000, 1)) <= MAX_DELAY


def test_clients_of_a_process_that_ends_are_spread_over_their_time() -> None:
    moments = sorted(spread_reconnects(1000, 500))
    assert 0 <= moments[0] < 0.1
    assert 1.9 < moments[-1] <= 2.0
    assert 300 < sum(moment < 1.0 for moment in moments) < 700
