"""Limits over several web processes, and what is left of them while Redis is away or hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.core.errors import TooFast
from app.web.limits import Limits
from tests.core.stage import make_settings
from tests.harness.servers import RedisServer
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.service

HERE = "192.0.2.1"
RATES = {"auth": "required", "address_read_limit": "10/minute", "login_limit": "4/minute", "login_address_limit": ""}


@pytest.fixture
def pair(redis_server: RedisServer) -> Iterator[tuple[Limits, Limits]]:
    """The limits of two web processes."""
    # Enough for a busy machine; a hanging Redis is noticed by it all the same.
    both = [Limits(make_settings(redis_url=redis_server.url, limit_timeout=0.5, **RATES)) for _ in range(2)]
    yield both[0], both[1]
    for limits in both:
        limits.close()


def count_allowed(limits: Limits, tries: int) -> int:
    allowed = 0
    for _ in range(tries):
        try:
            limits.check_request(HERE, is_read=True)
            allowed += 1
        except TooFast:
            continue
    return allowed


def test_processes_count_together(pair: tuple[Limits, Limits]) -> None:
    one, other = pair
    assert count_allowed(one, 6) == 6
    # A window that ends in between gives some of it back.
    assert 4 <= count_allowed(other, 10) <= 5


def test_tries_to_sign_in_are_counted_together_and_forgiven(pair: tuple[Limits, Limits]) -> None:
    one, other = pair
    for limits in (one, other, one, other):
        limits.throttle_login("ann", HERE)
    for limits in pair:
        with pytest.raises(TooFast) as refused:
            limits.throttle_login("ann", HERE)
        assert 0 < refused.value.retry_after <= 60
    one.forgive_login("ann", HERE)
    one.throttle_login("ann", HERE)


@pytest.mark.parametrize("fault", ["killed", "hanging", "never there"])
def test_without_redis_a_process_counts_for_itself(
    pair: tuple[Limits, Limits], redis_server: RedisServer, fault: str
) -> None:
    one, other = pair
    if fault == "never there":
        redis_server.kill()
    else:
        assert count_allowed(one, 2) == 2
        redis_server.pause() if fault == "hanging" else redis_server.kill()
    assert 8 <= count_allowed(one, 50) <= 10
    assert 8 <= count_allowed(other, 50) <= 10
    assert one.counts.is_away


def test_a_redis_that_hangs_is_asked_by_one_caller_a_second(redis_server: RedisServer) -> None:
    limits = Limits(make_settings(redis_url=redis_server.url, auth="required", limit_timeout=0.2))
    limits.check_request(HERE, is_read=True)
    redis_server.pause()
    limits.check_request(HERE, is_read=True)
    assert limits.counts.is_away
    waits = []
    for number in range(300):
        began = time.monotonic()
        limits.check_request(f"198.51.100.{number % 250}", is_read=True)
        waits.append(time.monotonic() - began)
    # Each question takes the whole limit: at most one of them falls into each second that this took.
    assert sum(wait >= 0.2 for wait in waits) <= 1 + sum(waits)
    redis_server.resume()

    def is_back() -> bool:
        limits.check_request(HERE, is_read=True)
        return not limits.counts.is_away

    wait_until(is_back, "Redis counts again", every=0.1)
    limits.close()
