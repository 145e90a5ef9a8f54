"""Who asks for too much is told when to come back; who does not, is not held up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from werkzeug.test import Client

from swallowtail.app.core.errors import TooFast, TooMany
from swallowtail.app.core.security.permissions import NOBODY, OPEN, Actor
from swallowtail.app.web.http.trusted_proxies import DIRECT
from swallowtail.app.web.limits.limits import Limits, MessageLimits, count_connections, network_of
from swallowtail.app.web.request.rate_limit_hooks import limit_session_opens
from tests.harness.settings import make_settings
from tests.web.app_fixture import WebApp, problem, take
from tests.web.limits.test_token_bucket import Clock

ANN = Actor("user", "u1", "ann", user_id="u1")
BOB = Actor("user", "u2", "bob", user_id="u2")
HERE, THERE = "127.0.0.1", "192.0.2.7"


_made: list[Limits] = []


def make_limits(tmp_path: Path, clock: Clock, **values: Any) -> Limits:
    """Limits of a process whose Redis is away."""
    _made.append(Limits(make_settings(var_dir=tmp_path, **values), clock))
    return _made[-1]


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield Clock()
    while _made:
        _made.pop().close()


def test_callers_of_this_machine_are_left_out_where_nobody_says_who_they_are(tmp_path: Path, clock: Clock) -> None:
    assert [make_limits(tmp_path, clock).covers(address) for address in (HERE, "::1", "", THERE)] == [
        False, False, False, True,
    ]  # fmt: skip
    assert make_limits(tmp_path, clock, auth="required").covers(HERE)
    assert make_limits(tmp_path, clock, limits="on").covers(HERE)
    assert not make_limits(tmp_path, clock, limits="off", auth="required").covers(THERE)


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
        "message": "this is too much in this time",
        "retry_after_ms": 20_000,
    }
    limits.check_request(THERE, is_read=True)
    limits.check_caller(ANN, HERE, is_read=False)
    for _ in range(2):
        limits.check_caller(ANN, HERE, is_read=True)
    with pytest.raises(TooFast):
        limits.check_caller(ANN, THERE, is_read=True)
    limits.check_caller(BOB, HERE, is_read=True)
    for actor in (OPEN, NOBODY) * 5:
        limits.check_caller(actor, HERE, is_read=True)


def test_the_pause_between_tries_to_sign_in_grows(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", login_limit="3/minute;6/hour")
    waits = []
    for _ in range(8):
        try:
            limits.throttle_login("Ann", HERE)
        except TooFast as refused:
            waits.append(round(refused.retry_after))
            clock.now += (refused.retry_after) + 0.01
            limits.throttle_login("ann ", HERE)
    assert waits[0] == 20
    assert waits[-1] > 300
    assert waits == sorted(waits)


def test_who_signed_in_has_the_tries_back_and_others_are_not_concerned(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", login_limit="2/hour", login_address_limit="5/hour")
    for _ in range(2):
        limits.throttle_login("ann", HERE)
    with pytest.raises(TooFast, match="too many tries to sign in"):
        limits.throttle_login("ann", HERE)
    limits.throttle_login("ann", THERE)
    limits.forgive_login("ann", HERE)
    limits.throttle_login("ann", HERE)
    limits.throttle_login("bob", HERE)
    with pytest.raises(TooFast):
        limits.throttle_login("carol", HERE)


def test_a_name_is_guarded_against_many_addresses(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", login_name_limit="10/hour")
    for number in range(10):
        limits.throttle_login("ann", f"192.0.2.{number}")
    with pytest.raises(TooFast):
        limits.throttle_login("ann", "192.0.2.10")


def test_connections_of_an_address_are_counted_and_given_back(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", connect_limit="10/second", max_address_connections=2)
    for _ in range(2):
        assert limits.try_connect(HERE) == 0.0
        limits.opened(HERE)
    assert limits.try_connect(HERE) == 5.0
    limits.closed(HERE)
    assert limits.try_connect(HERE) == 0.0
    waits = [limits.try_connect(THERE) for _ in range(12)]
    assert waits[:10] == [0.0] * 10
    assert waits[10] == pytest.approx(0.1)


def test_connections_of_a_user_are_counted_and_given_back(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", user_connect_limit="5/minute", max_user_connections=2)
    limits.enter(ANN, HERE)
    limits.enter(ANN, THERE)
    with pytest.raises(TooMany, match="at most 2 connections") as refused:
        limits.enter(ANN, HERE)
    assert refused.value.as_dict()["retry_after_ms"] == 5000
    limits.leave(ANN, HERE)
    limits.enter(ANN, HERE)
    limits.leave(ANN, HERE)
    limits.enter(ANN, HERE)
    limits.leave(ANN, HERE)
    with pytest.raises(TooFast):
        limits.enter(ANN, HERE)
    limits.enter(BOB, HERE)
    for _ in range(10):
        limits.enter(OPEN, HERE)


class FakeServer:
    """As much of python-socketio's server as counting needs; it is its own engine."""

    def __init__(self) -> None:
        self.eio = self
        self.handlers: dict[str, Any] = {"connect": lambda sid, environ: None, "disconnect": lambda sid, *reason: None}
        self.gone: list[str] = []
        self.address = HERE

    def on(self, event: str, handler: Any) -> None:
        self.handlers[event] = handler

    def get_environ(self, sid: str) -> dict[str, Any]:
        return {"REMOTE_ADDR": self.address}

    def disconnect(self, sid: str) -> None:
        self.gone.append(sid)

    def start_background_task(self, task: Any, *given: Any) -> None:
        task(*given)


def test_an_engine_counts_what_it_let_in(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", max_address_connections=1)
    server = FakeServer()
    count_connections(server, limits)
    server.handlers["connect"]("a", {"REMOTE_ADDR": HERE})
    assert limits.try_connect(HERE) > 0
    server.handlers["disconnect"]("a", "gone")
    server.handlers["disconnect"]("a")
    assert limits.try_connect(HERE) == 0.0
    refusing = FakeServer()
    refusing.handlers["connect"] = lambda sid, environ: False
    count_connections(refusing, limits)
    assert refusing.handlers["connect"]("b", {"REMOTE_ADDR": HERE}) is False
    assert limits.try_connect(HERE) == 0.0


def test_an_address_has_one_count_for_all_its_connections(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", max_address_connections=3)
    server = FakeServer()
    count_connections(server, limits)
    direct = {"REMOTE_ADDR": HERE, DIRECT: True}
    assert limits.acquire_socket(HERE)
    # A websocket whose connection was counted, one behind a proxy, and one that polls.
    server.handlers["connect"]("a", {**direct, "QUERY_STRING": "EIO=4&transport=websocket"})
    server.handlers["connect"]("b", {"REMOTE_ADDR": HERE, "QUERY_STRING": "EIO=4&transport=websocket"})
    # The first transport counts, as for the library.
    server.handlers["connect"]("c", {**direct, "QUERY_STRING": "EIO=4&transport=polling&transport=websocket"})
    assert (limits.acquire_socket(HERE), limits.try_connect(HERE), limits.try_connect(HERE, own=1)) == (False, 5.0, 0.0)
    # The websocket of the one that polled was counted when it was accepted.
    server.handlers["upgrade"]("c")
    assert limits.acquire_socket(HERE)
    for sid in "abc":
        server.handlers["upgrade"](sid)
        server.handlers["disconnect"](sid)
    for _ in range(2):
        limits.release_socket(HERE)
    assert dict(limits._open) == {}


def test_who_goes_on_after_being_refused_is_put_out(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(
        tmp_path, clock, auth="required", message_limit="10/minute", subscribe_limit="2/minute", flood_limit=5
    )
    server = FakeServer()
    messages = MessageLimits(limits, server, clock)
    messages.begin("a", OPEN)
    for _ in range(2):
        messages.check("a", "subscribe_instance")
    with pytest.raises(TooFast):
        messages.check("a", "subscribe_task")
    # What was refused has taken nothing of what all messages may take.
    for _ in range(8):
        messages.check("a", "unsubscribe_instance")
    for _ in range(10):
        with pytest.raises(TooFast):
            messages.check("a", "unsubscribe_instance")
    assert server.gone == ["a"]
    messages.begin("b", OPEN)
    messages.check("b", "subscribe_instance")
    messages.forget("a")
    messages.check("a", "subscribe_instance")


@pytest.mark.parametrize(
    ("limit", "event", "sharing"),
    [
        ("user_message_limit", "unsubscribe_instance", {"same", "elsewhere"}),
        ("user_message_limit", "subscribe_instance", {"same", "elsewhere"}),
        ("user_subscribe_limit", "subscribe_task", {"same", "elsewhere"}),
        ("user_subscribe_limit", "unsubscribe_task", set()),
        ("address_message_limit", "unsubscribe_instance", {"same", "other"}),
        ("address_subscribe_limit", "subscribe_instance", {"same", "other"}),
        ("address_subscribe_limit", "unsubscribe_instance", set()),
    ],
)
def test_the_connections_of_a_caller_and_of_an_address_share_a_rate(
    tmp_path: Path, clock: Clock, limit: str, event: str, sharing: set[str]
) -> None:
    limits = make_limits(tmp_path, clock, auth="required", **{limit: "3/minute"})
    server = FakeServer()
    messages = MessageLimits(limits, server, clock)
    for sid, actor, address in (
        ("first", ANN, HERE),
        ("same", ANN, HERE),
        ("other", BOB, HERE),
        ("elsewhere", ANN, THERE),
    ):
        server.address = address
        messages.begin(sid, actor)
    for _ in range(3):
        messages.check("first", event)
    refused, waits = set(), set()
    for sid in ("same", "other", "elsewhere"):
        try:
            messages.check(sid, event)
        except TooFast as refusal:
            refused.add(sid)
            waits.add(refusal.as_dict()["retry_after_ms"])
    assert refused == sharing
    assert waits <= {20_000}


def test_a_users_tokens_count_together_and_a_front_ends_token_for_itself(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", max_user_connections=1)
    ci, shell = (Actor("user", "u1", "ann", user_id="u1", token_id=f"t{number}") for number in (1, 2))
    # Whose token it is who minted it; another's connections are not theirs.
    page, poster = (Actor("front_end", f"f{n}", "page", user_id="u1", token_id=f"f{n}") for n in (1, 2))
    limits.enter(ci, HERE)
    limits.enter(page, HERE)
    limits.enter(poster, HERE)
    for actor in (ci, shell, page, poster):
        with pytest.raises(TooMany):
            limits.enter(actor, HERE)


def test_a_whole_network_of_ipv6_is_one_caller() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("") == "unknown"


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[WebApp]:
    web_app = WebApp(
        make_settings(
            var_dir=tmp_path,
            async_mode="threading",
            limits="on",
            address_read_limit="3/hour",
            address_write_limit="2/hour",
        )
    )
    yield web_app
    web_app.close()


def test_rest_answers_with_a_problem_that_says_when_to_come_back(narrow: WebApp) -> None:
    narrow.create_instance("acme")
    for _ in range(3):
        take(narrow.get("/instances"))
    answer = narrow.get("/instances")
    body = problem(answer, 429, "rate_limited")
    assert 0 < body["retry_after_ms"] <= 1200_000
    assert int(answer.headers["Retry-After"]) == -(-body["retry_after_ms"] // 1000)
    narrow.submit()
    problem(narrow.post("/instances/acme/tasks", {"kind": "brief"}), 429, "rate_limited")


def test_who_watches_over_the_process_is_not_counted(narrow: WebApp) -> None:
    for _ in range(5):
        assert narrow.fetch("/healthz").status_code == 200
        assert narrow.fetch("/static/css/app.css").status_code == 200


def test_pages_are_limited_too(narrow: WebApp) -> None:
    for _ in range(3):
        assert narrow.fetch("/").status_code == 200
    answer = narrow.fetch("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (429, "text/html")


@pytest.mark.parametrize(
    "query", ["EIO=4&transport=polling", "EIO=4&transport=websocket", "transport=polling&xsid=1&sid="]
)
def test_a_connection_too_many_on_the_stock_path_is_refused(tmp_path: Path, clock: Clock, query: str) -> None:
    def serve(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"served"]

    limits = make_limits(tmp_path, clock, auth="required", connect_limit="1/hour")
    client = Client(limit_session_opens(serve, limits))
    assert client.get(f"/socket.io/?{query}").text == "served"
    again = client.get(f"/socket.io/?{query}")
    assert (again.status_code, again.headers["Retry-After"]) == (429, "3600")
    assert client.get("/socket.io/?EIO=4&transport=polling&sid=abc").text == "served"
    assert client.get("/elsewhere").text == "served"


def test_what_a_user_has_open_is_given_back_when_it_ends(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", max_user_connections=1)
    messages = MessageLimits(limits, FakeServer(), clock)
    limits.enter(ANN, HERE)
    messages.begin("a", ANN)
    with pytest.raises(TooMany):
        limits.enter(ANN, HERE)
    messages.forget("a")
    messages.forget("a")
    limits.enter(ANN, HERE)
    for _ in range(2):
        messages.begin("b", OPEN)
        messages.forget("b")
