"""A use is decided at once and reported to Redis later; what Redis answers blocks the key here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from limits import RateLimitItem

from swallowtail.app.web.limits.deferred_rate import DeferredRate, UseReporter
from tests.harness.waiting import wait_until
from tests.web.limits.test_token_bucket import Clock


class FakeCounts:
    """Redis: records what is reported, and answers what a test sets."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, int]] = []
        self.answer: float | None = 0.0
        #: Set while it answers at once.
        self.answers = threading.Event()
        self.answers.set()

    def add(self, item: RateLimitItem, key: str, number: int) -> float | None:
        self.reported.append((key, number))
        self.answers.wait()
        return self.answer

    def sum(self) -> int:
        return sum(number for _, number in self.reported)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts() -> Iterator[FakeCounts]:
    counts = FakeCounts()
    yield counts
    counts.answers.set()


@pytest.fixture
def make_rate(counts: FakeCounts, clock: Clock) -> Iterator[Callable[[str], DeferredRate]]:
    fake: Any = counts
    reporter = UseReporter(fake, 0.001)
    yield lambda rates: DeferredRate("message", rates, reporter, clock)
    reporter.close()


def test_a_twentieth_of_a_rate_is_reported_and_less_is_not(
    make_rate: Callable[[str], DeferredRate], counts: FakeCounts
) -> None:
    rate = make_rate("100/minute")
    for _ in range(4):
        rate.acquire("quiet")
        rate.acquire("busy")
    assert counts.reported == []
    for _ in range(7):
        rate.acquire("busy")
    wait_until(lambda: counts.sum() == 10, "the uses are reported", seen=lambda: counts.reported)
    assert {key for key, _ in counts.reported} == {"message:busy"}


def test_every_use_of_a_small_rate_is_reported(make_rate: Callable[[str], DeferredRate], counts: FakeCounts) -> None:
    rate = make_rate("3/minute")
    for _ in range(3):
        rate.acquire("a")
    wait_until(lambda: counts.sum() == 3, "every use is reported", seen=lambda: counts.reported)
    # A use that was refused here is not reported.
    assert rate.acquire("a") > 0
    rate.acquire("b")
    wait_until(lambda: ("message:b", 1) in counts.reported, "the next is reported", seen=lambda: counts.reported)
    assert counts.sum() == 4


def test_a_key_that_used_up_its_rate_elsewhere_is_refused_here(
    make_rate: Callable[[str], DeferredRate], counts: FakeCounts, clock: Clock
) -> None:
    rate = make_rate("20/minute")
    counts.answer = 12.0
    assert rate.acquire("a") == 0.0
    wait_until(lambda: rate.peek("a") > 0, "the answer of Redis applies")
    assert rate.acquire("a") == pytest.approx(12.0)
    assert rate.acquire("b") == 0.0
    clock.now += 12.01
    assert rate.acquire("a") == 0.0


def test_an_unavailable_redis_refuses_no_use_and_gets_no_later_report(
    make_rate: Callable[[str], DeferredRate], counts: FakeCounts
) -> None:
    rate = make_rate("20/minute")
    counts.answer = None
    for _ in range(20):
        assert rate.acquire("a") == 0.0
    wait_until(lambda: counts.sum() == 20, "Redis was asked", seen=lambda: counts.reported)
    assert rate.acquire("a") == pytest.approx(3.0)
    counts.answer = 0.0
    rate.acquire("b")
    wait_until(lambda: counts.reported[-1] == ("message:b", 1), "Redis is back", seen=lambda: counts.reported)
    assert counts.sum() == 21


def test_no_caller_waits_for_a_redis_that_hangs(make_rate: Callable[[str], DeferredRate], counts: FakeCounts) -> None:
    rate = make_rate("20/minute")
    counts.answers.clear()
    rate.acquire("a")
    wait_until(lambda: counts.reported == [("message:a", 1)], "Redis is being asked", seen=lambda: counts.reported)
    # The thread hangs; callers still return at once.
    assert [rate.acquire("a") for _ in range(19)] == [0.0] * 19
    assert rate.acquire("a") > 0
    assert counts.reported == [("message:a", 1)]
    counts.answers.set()
    wait_until(
        lambda: counts.reported[1:] == [("message:a", 19)], "the rest is reported at once", seen=lambda: counts.reported
    )


def test_uses_older_than_the_period_of_a_rate_are_not_reported(
    make_rate: Callable[[str], DeferredRate], counts: FakeCounts, clock: Clock
) -> None:
    rate = make_rate("100/minute")
    for _ in range(4):
        rate.acquire("a")
    clock.now += 60.01
    for _ in range(4):
        rate.acquire("a")
    assert counts.reported == []
    rate.acquire("a")
    wait_until(
        lambda: counts.reported == [("message:a", 5)], "a twentieth in this minute", seen=lambda: counts.reported
    )


def test_without_a_settlement_nothing_is_reported(counts: FakeCounts, clock: Clock) -> None:
    rate = DeferredRate("", "2/minute", clock=clock)
    assert [rate.acquire("a"), rate.acquire("a")] == [0.0, 0.0]
    assert rate.acquire("a") == pytest.approx(30.0)
    rate.clear("a")
    assert rate.acquire("a") == 0.0
