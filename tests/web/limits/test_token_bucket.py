"""Tokens refill with time, one by one, and the number of remembered keys is limited."""

from __future__ import annotations

import pytest
from limits import parse

from swallowtail.app.web.limits import token_bucket
from swallowtail.app.web.limits.token_bucket import TokenBucket, acquire_all, make_buckets


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_is_allowed_and_then_as_much_as_refills(clock: Clock) -> None:
    bucket = TokenBucket(parse("60/minute"), clock)
    assert [bucket.acquire("a") for _ in range(60)] == [0.0] * 60
    assert bucket.acquire("a") == pytest.approx(1.0)
    clock.now += 0.5
    assert bucket.acquire("a") == pytest.approx(0.5)
    clock.now += 0.5
    assert bucket.acquire("a") == 0.0
    assert bucket.acquire("a") == pytest.approx(1.0)
    clock.now += 3600
    assert [bucket.acquire("a") for _ in range(60)] == [0.0] * 60
    assert bucket.acquire("a") > 0


def test_the_returned_wait_is_sufficient(clock: Clock) -> None:
    bucket = TokenBucket(parse("7/minute"), clock)
    for _ in range(50):
        wait = bucket.acquire("a")
        if wait:
            clock.now += wait + 1e-6
            assert bucket.acquire("a") == 0.0


def test_keys_do_not_share(clock: Clock) -> None:
    bucket = TokenBucket(parse("1/minute"), clock)
    assert (bucket.acquire("a"), bucket.acquire("b")) == (0.0, 0.0)
    assert bucket.acquire("a") > 0
    bucket.clear("a")
    assert bucket.acquire("a") == 0.0


def test_a_block_by_another_process_applies(clock: Clock) -> None:
    bucket = TokenBucket(parse("60/minute"), clock)
    bucket.block("a", 5.0)
    assert bucket.acquire("a") == pytest.approx(5.0)
    clock.now += 5.01
    assert bucket.acquire("a") == 0.0
    assert bucket.acquire("a") > 0


def test_the_least_recently_used_keys_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_bucket, "MAX_KEYS", 3)
    bucket = TokenBucket(parse("1/minute"), clock)
    for key in "abcd":
        bucket.acquire(key)
    assert len(bucket._levels) == 3
    assert bucket.acquire("d") > 0
    assert bucket.acquire("a") == 0.0


def test_of_several_rates_the_slowest_decides(clock: Clock) -> None:
    buckets = make_buckets("2/second;3/hour", clock)
    assert [acquire_all(buckets, "a") for _ in range(2)] == [0.0, 0.0]
    assert acquire_all(buckets, "a") == pytest.approx(0.5)
    clock.now += 10
    assert acquire_all(buckets, "a") == 0.0
    assert acquire_all(buckets, "a") == pytest.approx(1190, abs=1)
    assert make_buckets("") == []
    assert acquire_all([], "a") == 0.0
