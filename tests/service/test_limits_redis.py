"""Limits over several web processes, also while Redis is unavailable or hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from swallowtail.app.core.errors import TooFast, TooMany
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.web.http.trusted_proxies import TrustedProxies
from swallowtail.app.web.limits.limits import Limits
from tests.harness.servers import RedisServer
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.service

HERE = "192.0.2.1"
ANN = Actor("user", "u1", "ann", user_id="u1")
BOB = Actor("user", "u2", "bob", user_id="u2")
RATES: dict[str, Any] = {
    "auth": "required",
    "address_read_limit": "10/minute",
    "login_limit": "4/minute",
    "login_address_limit": "",
    "user_message_limit": "20/hour",
    "connect_limit": "10/hour",
    "user_connect_limit": "",
    "max_user_connections": 3,
    "connection_lease": 1,
}


@pytest.fixture
def pair(redis_server: RedisServer) -> Iterator[tuple[Limits, Limits]]:
    """The limits of two web processes."""
    # Long enough for a busy machine, and short enough to notice a hanging Redis.
    both = [
        Limits(make_settings(redis_url=redis_server.url, limit_timeout=0.5, **RATES), TrustedProxies(""))
        for _ in range(2)
    ]
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
    # A window that ends in between frees a part.
    assert 4 <= count_allowed(other, 10) <= 5


def test_login_attempts_are_counted_together_and_reset(pair: tuple[Limits, Limits]) -> None:
    one, other = pair
    for limits in (one, other, one, other):
        limits.count_login("ann", HERE)
    for limits in pair:
        with pytest.raises(TooFast) as refused:
            limits.count_login("ann", HERE)
        assert 0 < refused.value.retry_after <= 60
    one.clear_login("ann", HERE)
    one.count_login("ann", HERE)


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
    assert one.counts._breaker.has_failed


def test_a_redis_that_hangs_is_asked_by_one_caller_a_second(redis_server: RedisServer) -> None:
    limits = Limits(make_settings(redis_url=redis_server.url, auth="required", limit_timeout=0.2), TrustedProxies(""))
    limits.check_request(HERE, is_read=True)
    redis_server.pause()
    limits.check_request(HERE, is_read=True)
    assert limits.counts._breaker.has_failed
    waits = []
    for number in range(300):
        began = time.monotonic()
        limits.check_request(f"198.51.100.{number % 250}", is_read=True)
        waits.append(time.monotonic() - began)
    # Each request uses the whole limit, so at most one is allowed in each second.
    assert sum(wait >= 0.2 for wait in waits) <= 1 + sum(waits)
    redis_server.resume()

    def is_back() -> bool:
        limits.check_request(HERE, is_read=True)
        return not limits.counts._breaker.has_failed

    wait_until(is_back, "Redis counts again", every=0.1)
    limits.close()


def enter(limits: Limits, actor: Actor = ANN) -> bool:
    """Try to open one more connection."""
    try:
        limits.acquire_connection(actor, HERE)
    except TooMany:
        return False
    return True


def test_deferred_uses_are_counted_together_afterwards(pair: tuple[Limits, Limits]) -> None:
    one, other = (limits.caller_messages for limits in pair)
    assert [one.acquire("ann") for _ in range(12)] == [0.0] * 12
    waits: list[float] = []

    def is_refused() -> bool:
        waits.append(other.acquire("ann"))
        return waits[-1] > 0

    # This process does not know the uses yet, and does not wait; alone it would allow twenty.
    wait_until(is_refused, "it is refused here too", every=0.1)
    assert 8 <= len(waits) - 1 < 20
    assert 0 < other.peek("ann") <= 3600
    assert other.acquire("bob") == 0.0


@pytest.fixture
def narrow_pair(redis_server: RedisServer) -> Iterator[tuple[Limits, Limits]]:
    """The limits of two web processes that let a user open few connections in an hour."""
    rates = {**RATES, "user_connect_limit": "10/hour"}
    both = [
        Limits(make_settings(redis_url=redis_server.url, limit_timeout=0.5, **rates), TrustedProxies(""))
        for _ in range(2)
    ]
    yield both[0], both[1]
    for limits in both:
        limits.close()


def test_new_connections_of_an_address_and_of_a_user_are_counted_together(narrow_pair: tuple[Limits, Limits]) -> None:
    one, other = narrow_pair
    for _ in range(6):
        assert one.try_connect(HERE) == 0.0
        one.acquire_connection(BOB, HERE)
        one.release_connection(BOB, HERE)
    waits: list[float] = []

    def is_refused_by_address() -> bool:
        waits.append(other.try_connect(HERE))
        return waits[-1] > 0

    def is_refused_by_user() -> bool:
        try:
            other.acquire_connection(BOB, HERE)
        except TooFast as refusal:
            waits.append(refusal.retry_after)
            return True
        other.release_connection(BOB, HERE)
        return False

    for is_refused in (is_refused_by_address, is_refused_by_user):
        wait_until(is_refused, "uses elsewhere count here", every=0.1)
        assert 0 < waits[-1] <= 3600
    # Alone, this process would allow ten.
    assert len(waits) - 2 < 10
    assert other.try_connect("192.0.2.2") == 0.0
    assert enter(other)


def test_connections_of_a_user_are_counted_over_all_processes(pair: tuple[Limits, Limits]) -> None:
    one, other = pair
    assert [enter(one), enter(other), enter(one)] == [True, True, True]
    assert [enter(one), enter(other), enter(other, BOB)] == [False, False, True]
    one.release_connection(ANN, HERE)
    wait_until(lambda: enter(other), "the released connection is free elsewhere")
    with pytest.raises(TooMany, match="at most 3") as refused:
        one.acquire_connection(ANN, HERE)
    assert refused.value.retry_after == 5.0


def test_a_process_that_ends_releases_its_connections(pair: tuple[Limits, Limits]) -> None:
    one, other = pair
    assert [enter(one) for _ in range(3)] == [True] * 3
    assert not enter(other)
    one.close()
    assert enter(other)


@pytest.mark.parametrize("fault", ["killed", "hanging"])
def test_without_redis_a_process_counts_its_own_connections(
    pair: tuple[Limits, Limits], redis_server: RedisServer, fault: str
) -> None:
    one, other = pair
    assert [enter(one), enter(one)] == [True, True]
    redis_server.pause() if fault == "hanging" else redis_server.kill()
    assert [enter(one), enter(one)] == [True, False]
    assert [enter(other) for _ in range(4)] == [True, True, True, False]
    redis_server.resume() if fault == "hanging" else redis_server.start()
    third = Limits(make_settings(redis_url=redis_server.url, limit_timeout=0.5, **RATES), TrustedProxies(""))
    try:
        # The open connections are reported again to a Redis that has forgotten them.
        wait_until(lambda: not enter_and_leave(third), "the connections are known again")
    finally:
        third.close()


def enter_and_leave(limits: Limits) -> bool:
    """Try to open one more connection, and close it at once."""
    if not enter(limits):
        return False
    limits.release_connection(ANN, HERE)
    return True


def test_a_redis_that_hangs_delays_one_caller_and_not_all(redis_server: RedisServer) -> None:
    limits = Limits(make_settings(redis_url=redis_server.url, limit_timeout=0.5, **RATES), TrustedProxies(""))
    assert enter(limits)
    redis_server.pause()
    waits = []
    for number in range(200):
        began = time.monotonic()
        assert enter(limits, Actor("user", f"n{number}", "someone", user_id=f"n{number}"))
        waits.append(time.monotonic() - began)
    assert sum(wait >= 0.5 for wait in waits) <= 1 + sum(waits)
    redis_server.resume()
    limits.close()


def test_redis_gets_a_twentieth_at_once(pair: tuple[Limits, Limits], redis_server: RedisServer) -> None:
    limits = pair[0]

    def reported() -> int:
        with redis_server.client() as client:
            return sum(int(client.get(key) or 0) for key in client.scan_iter("*address-message*"))

    for _ in range(2999):
        limits.address_messages.acquire(HERE)
    assert reported() == 0
    limits.address_messages.acquire(HERE)
    wait_until(lambda: reported() == 3000, "a twentieth of 60,000 is reported", seen=reported)
