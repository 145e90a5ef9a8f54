"""A caller above a limit gets the time to try again; callers below it are not delayed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from swallowtail.app.core.errors import TooFast, TooMany
from swallowtail.app.core.security.actors import ANONYMOUS, OPEN, Actor
from swallowtail.app.web.limits.keys import network_of
from tests.harness.settings import make_settings
from tests.web.limits.limited_process import ANN, BOB, HERE, THERE, make_limits
from tests.web.limits.limited_process import clock as clock
from tests.web.limits.test_token_bucket import Clock


def test_local_callers_have_no_limits_while_sign_in_is_not_required(tmp_path: Path, clock: Clock) -> None:
    assert [make_limits(tmp_path, clock).applies_to(address) for address in (HERE, "::1", "", THERE)] == [
        False, False, False, True,
    ]  # fmt: skip
    assert make_limits(tmp_path, clock, auth="required").applies_to(HERE)
    assert make_limits(tmp_path, clock, limits="on").applies_to(HERE)
    assert not make_limits(tmp_path, clock, limits="off", auth="required").applies_to(THERE)


@pytest.mark.parametrize("value", ["many", "5", "5/fortnight", "-1/second", "5/minute;"])
def test_a_rate_that_cannot_be_read_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="must be rates such as"):
        make_settings(read_limit=value)


def test_requests_of_an_address_and_of_a_caller_are_counted_apart(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(
        tmp_path, clock, auth="required", address_read_limit="3/minute", read_limit="2/minute", write_limit="1/minute"
    )
    for _ in range(3):
        limits.check_request(HERE, is_read=True)
    with pytest.raises(TooFast) as refused:
        limits.check_request(HERE, is_read=True)
    assert refused.value.as_dict() == {
        "code": "rate_limited",
        "message": "too many requests in this time",
        "retry_after_ms": 20_000,
    }
    limits.check_request(THERE, is_read=True)
    limits.check_caller(ANN, HERE, is_read=False)
    for _ in range(2):
        limits.check_caller(ANN, HERE, is_read=True)
    with pytest.raises(TooFast):
        limits.check_caller(ANN, THERE, is_read=True)
    limits.check_caller(BOB, HERE, is_read=True)
    for actor in (OPEN, ANONYMOUS) * 5:
        limits.check_caller(actor, HERE, is_read=True)


def test_the_pause_between_login_attempts_grows(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", login_limit="3/minute;6/hour")
    waits = []
    for _ in range(8):
        try:
            limits.count_login("Ann", HERE)
        except TooFast as refused:
            waits.append(round(refused.retry_after))
            clock.now += (refused.retry_after) + 0.01
            limits.count_login("ann ", HERE)
    assert waits[0] == 20
    assert waits[-1] > 300
    assert waits == sorted(waits)


def test_a_login_resets_the_attempts_of_that_user_only(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", login_limit="2/hour", login_address_limit="5/hour")
    for _ in range(2):
        limits.count_login("ann", HERE)
    with pytest.raises(TooFast, match="too many attempts to sign in"):
        limits.count_login("ann", HERE)
    limits.count_login("ann", THERE)
    limits.clear_login("ann", HERE)
    limits.count_login("ann", HERE)
    limits.count_login("bob", HERE)
    with pytest.raises(TooFast):
        limits.count_login("carol", HERE)


def test_a_user_name_has_a_limit_over_all_addresses(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", login_name_limit="10/hour")
    for number in range(10):
        limits.count_login("ann", f"192.0.2.{number}")
    with pytest.raises(TooFast):
        limits.count_login("ann", "192.0.2.10")


def test_connections_of_an_address_are_counted_and_released(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", connect_limit="10/second", max_address_connections=2)
    for _ in range(2):
        assert limits.try_connect(HERE) == 0.0
        limits.add_session(HERE)
    assert limits.try_connect(HERE) == 5.0
    limits.remove_session(HERE)
    assert limits.try_connect(HERE) == 0.0
    waits = [limits.try_connect(THERE) for _ in range(12)]
    assert waits[:10] == [0.0] * 10
    assert waits[10] == pytest.approx(0.1)


def test_connections_of_a_user_are_counted_and_released(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", user_connect_limit="5/minute", max_user_connections=2)
    limits.acquire_connection(ANN, HERE)
    limits.acquire_connection(ANN, THERE)
    with pytest.raises(TooMany, match="at most 2 connections") as refused:
        limits.acquire_connection(ANN, HERE)
    assert refused.value.as_dict()["retry_after_ms"] == 5000
    limits.release_connection(ANN, HERE)
    limits.acquire_connection(ANN, HERE)
    limits.release_connection(ANN, HERE)
    limits.acquire_connection(ANN, HERE)
    limits.release_connection(ANN, HERE)
    with pytest.raises(TooFast):
        limits.acquire_connection(ANN, HERE)
    limits.acquire_connection(BOB, HERE)
    for _ in range(10):
        limits.acquire_connection(OPEN, HERE)


def test_a_users_tokens_count_together_and_an_api_token_for_itself(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", max_user_connections=1)
    ci, shell = (Actor("user", "u1", "ann", user_id="u1", token_id=f"t{number}") for number in (1, 2))
    # An API token counts for itself, not for the user who created it.
    page, poster = (Actor("front_end", f"f{n}", "page", user_id="u1", token_id=f"f{n}") for n in (1, 2))
    limits.acquire_connection(ci, HERE)
    limits.acquire_connection(page, HERE)
    limits.acquire_connection(poster, HERE)
    for actor in (ci, shell, page, poster):
        with pytest.raises(TooMany):
            limits.acquire_connection(actor, HERE)


def test_a_64_network_of_ipv6_is_one_caller() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("") == "unknown"
