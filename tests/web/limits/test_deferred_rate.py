"""What waits for nobody is allowed at once and settled with Redis afterwards, and Redis has the last word."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from limits import RateLimitItem

from swallowtail.app.web.limits.deferred_rate import DeferredRate, Settlement
from tests.harness.waiting import wait_until
from tests.web.limits.test_token_bucket import Clock


class FakeCounts:
    """A Redis that notes what it is told, and says what a test wants."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.answer: float | None = 0.0
        #: Set while it answers at once.
        self.answers = threading.Event()
        self.answers.set()

    def add(self, rate: RateLimitItem, key: str, number: int) -> float | None:
        self.told.append((key, number))
        self.answers.wait()
        return self.answer

    def sum(self) -> int:
        return sum(number for _, number in self.told)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts() -> Iterator[FakeCounts]:
    counts = FakeCounts()
    yield counts
    counts.answers.set()


@pytest.fixture
def make_share(counts: FakeCounts, clock: Clock) -> Iterator[Callable[[str], DeferredRate]]:
    fake: Any = counts
    settlement = Settlement(fake, 0.001)
    yield lambda rates: DeferredRate("message", rates, settlement, clock)
    settlement.close()


def test_a_twentieth_of_a_rate_is_told_and_less_is_not(
    make_share: Callable[[str], DeferredRate], counts: FakeCounts
) -> None:
    share = make_share("100/minute")
    for _ in range(4):
        share.take("quiet")
        share.take("busy")
    assert counts.told == []
    for _ in range(7):
        share.take("busy")
    wait_until(lambda: counts.sum() == 10, "what was used is told", seen=lambda: counts.told)
    assert {key for key, _ in counts.told} == {"message:busy"}


def test_of_a_small_rate_every_use_is_told(make_share: Callable[[str], DeferredRate], counts: FakeCounts) -> None:
    share = make_share("3/minute")
    for _ in range(3):
        share.take("a")
    wait_until(lambda: counts.sum() == 3, "every use is told", seen=lambda: counts.told)
    # What was refused here is nobody's debt.
    assert share.take("a") > 0
    share.take("b")
    wait_until(lambda: ("message:b", 1) in counts.told, "the next is told", seen=lambda: counts.told)
    assert counts.sum() == 4


def test_who_used_it_up_elsewhere_is_refused_here_until_redis_says(
    make_share: Callable[[str], DeferredRate], counts: FakeCounts, clock: Clock
) -> None:
    share = make_share("20/minute")
    counts.answer = 12.0
    assert share.take("a") == 0.0
    wait_until(lambda: share.peek("a") > 0, "what Redis said counts")
    assert share.take("a") == pytest.approx(12.0)
    assert share.take("b") == 0.0
    clock.now += 12.01
    assert share.take("a") == 0.0


def test_a_redis_that_cannot_tell_refuses_nobody_and_is_owed_nothing(
    make_share: Callable[[str], DeferredRate], counts: FakeCounts
) -> None:
    share = make_share("20/minute")
    counts.answer = None
    for _ in range(20):
        assert share.take("a") == 0.0
    wait_until(lambda: counts.sum() == 20, "Redis was asked", seen=lambda: counts.told)
    assert share.take("a") == pytest.approx(3.0)
    counts.answer = 0.0
    share.take("b")
    wait_until(lambda: counts.told[-1] == ("message:b", 1), "Redis is back", seen=lambda: counts.told)
    assert counts.sum() == 21


def test_nobody_waits_for_a_redis_that_hangs(make_share: Callable[[str], DeferredRate], counts: FakeCounts) -> None:
    share = make_share("20/minute")
    counts.answers.clear()
    share.take("a")
    wait_until(lambda: counts.told == [("message:a", 1)], "Redis is being asked", seen=lambda: counts.told)
    # The thread hangs, and these return all the same.
    assert [share.take("a") for _ in range(19)] == [0.0] * 19
    assert share.take("a") > 0
    assert counts.told == [("message:a", 1)]
    counts.answers.set()
    wait_until(lambda: counts.told[1:] == [("message:a", 19)], "the rest is told at once", seen=lambda: counts.told)


def test_what_is_older_than_the_time_of_a_rate_is_not_told(
    make_share: Callable[[str], DeferredRate], counts: FakeCounts, clock: Clock
) -> None:
    share = make_share("100/minute")
    for _ in range(4):
        share.take("a")
    clock.now += 60.01
    for _ in range(4):
        share.take("a")
    assert counts.told == []
    share.take("a")
    wait_until(lambda: counts.told == [("message:a", 5)], "a twentieth in this minute", seen=lambda: counts.told)


def test_without_a_settlement_nobody_is_told(counts: FakeCounts, clock: Clock) -> None:
    share = DeferredRate("", "2/minute", clock=clock)
    assert [share.take("a"), share.take("a")] == [0.0, 0.0]
    assert share.take("a") == pytest.approx(30.0)
    share.clear("a")
    assert share.take("a") == 0.0
