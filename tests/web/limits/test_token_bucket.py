"""Permits come back with time, one at a time, and what is remembered has an end."""

from __future__ import annotations

import pytest
from limits import parse

from swallowtail.app.web.limits.token_bucket import TokenBucket, make_buckets, take_all


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_is_allowed_and_then_as_much_as_comes_back(clock: Clock) -> None:
    bucket = TokenBucket(parse("60/minute"), clock)
    assert [bucket.take("a") for _ in range(60)] == [0.0] * 60
    assert bucket.take("a") == pytest.approx(1.0)
    clock.now += 0.5
    assert bucket.take("a") == pytest.approx(0.5)
    clock.now += 0.5
    assert bucket.take("a") == 0.0
    assert bucket.take("a") == pytest.approx(1.0)
    clock.now += 3600
    assert [bucket.take("a") for _ in range(60)] == [0.0] * 60
    assert bucket.take("a") > 0


def test_the_wait_that_is_told_is_enough(clock: Clock) -> None:
    bucket = TokenBucket(parse("7/minute"), clock)
    for _ in range(50):
        wait = bucket.take("a")
        if wait:
            clock.now += wait + 1e-6
            assert bucket.take("a") == 0.0


def test_keys_do_not_share(clock: Clock) -> None:
    bucket = TokenBucket(parse("1/minute"), clock)
    assert (bucket.take("a"), bucket.take("b")) == (0.0, 0.0)
    assert bucket.take("a") > 0
    bucket.clear("a")
    assert bucket.take("a") == 0.0


def test_somebody_elses_refusal_counts(clock: Clock) -> None:
    bucket = TokenBucket(parse("60/minute"), clock)
    bucket.bar("a", 5.0)
    assert bucket.take("a") == pytest.approx(5.0)
    clock.now += 5.01
    assert bucket.take("a") == 0.0
    assert bucket.take("a") > 0


def test_the_keys_used_longest_ago_are_forgotten(clock: Clock) -> None:
    bucket = TokenBucket(parse("1/minute"), clock, most=3)
    for key in "abcd":
        bucket.take(key)
    assert len(bucket) == 3
    assert bucket.take("d") > 0
    assert bucket.take("a") == 0.0


def test_of_several_rates_the_slowest_decides(clock: Clock) -> None:
    buckets = make_buckets("2/second;3/hour", clock)
    assert [take_all(buckets, "a") for _ in range(2)] == [0.0, 0.0]
    assert take_all(buckets, "a") == pytest.approx(0.5)
    clock.now += 10
    assert take_all(buckets, "a") == 0.0
    assert take_all(buckets, "a") == pytest.approx(1190, abs=1)
    assert make_buckets("") == []
    assert take_all([], "a") == 0.0
