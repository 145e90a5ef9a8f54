"""The sessions of an address and the messages of a connection are limited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.errors import TooFast, TooMany
from swallowtail.app.core.security.actors import OPEN
from swallowtail.app.web.engineio.session_count import count_sessions
from swallowtail.app.web.http.trusted_proxies import DIRECT
from swallowtail.app.web.limits.message_limits import MessageLimits
from tests.web.limits.limited_process import ANN, BOB, HERE, THERE, make_limits
from tests.web.limits.limited_process import clock as clock
from tests.web.limits.test_token_bucket import Clock


class FakeServer:
    """The part of python-socketio's server that counting needs; it is its own engine."""

    def __init__(self) -> None:
        self.eio = self
        self.handlers: dict[str, Any] = {"connect": lambda sid, environ: None, "disconnect": lambda sid, *reason: None}
        self.disconnected: list[str] = []
        self.address = HERE

    def on(self, event: str, handler: Any) -> None:
        self.handlers[event] = handler

    def get_environ(self, sid: str) -> dict[str, Any]:
        return {"REMOTE_ADDR": self.address}

    def disconnect(self, sid: str) -> None:
        self.disconnected.append(sid)

    def start_background_task(self, task: Any, *arguments: Any) -> None:
        task(*arguments)


def test_an_engine_counts_the_sessions_that_it_accepted(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", max_address_connections=1)
    server = FakeServer()
    count_sessions(server, limits)
    server.handlers["connect"]("a", {"REMOTE_ADDR": HERE})
    assert limits.try_connect(HERE) > 0
    server.handlers["disconnect"]("a", "gone")
    server.handlers["disconnect"]("a")
    assert limits.try_connect(HERE) == 0.0
    refusing = FakeServer()
    refusing.handlers["connect"] = lambda sid, environ: False
    count_sessions(refusing, limits)
    assert refusing.handlers["connect"]("b", {"REMOTE_ADDR": HERE}) is False
    assert limits.try_connect(HERE) == 0.0


def test_an_address_has_one_count_for_all_its_connections(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", max_address_connections=3)
    server = FakeServer()
    count_sessions(server, limits)
    direct = {"REMOTE_ADDR": HERE, DIRECT: True}
    assert limits.acquire_socket(HERE)
    # A websocket whose socket counts already, one behind a proxy, and one that polls.
    server.handlers["connect"]("a", {**direct, "QUERY_STRING": "EIO=4&transport=websocket"})
    server.handlers["connect"]("b", {"REMOTE_ADDR": HERE, "QUERY_STRING": "EIO=4&transport=websocket"})
    # The library uses the first transport.
    server.handlers["connect"]("c", {**direct, "QUERY_STRING": "EIO=4&transport=polling&transport=websocket"})
    assert (limits.acquire_socket(HERE), limits.try_connect(HERE), limits.try_connect(HERE, own=1)) == (False, 5.0, 0.0)
    # The websocket of the polling client was counted when it was accepted.
    server.handlers["upgrade"]("c")
    assert limits.acquire_socket(HERE)
    for sid in "abc":
        server.handlers["upgrade"](sid)
        server.handlers["disconnect"](sid)
    for _ in range(2):
        limits.release_socket(HERE)
    assert dict(limits._open) == {}


def test_a_client_that_continues_after_refusals_is_disconnected(tmp_path: Path, clock: Clock) -> None:
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
    # A refused subscription uses nothing of the limit of all messages.
    for _ in range(8):
        messages.check("a", "unsubscribe_instance")
    for _ in range(10):
        with pytest.raises(TooFast):
            messages.check("a", "unsubscribe_instance")
    assert server.disconnected == ["a"]
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


def test_a_users_connection_is_released_when_it_ends(tmp_path: Path, clock: Clock) -> None:
    limits = make_limits(tmp_path, clock, auth="required", max_user_connections=1)
    messages = MessageLimits(limits, FakeServer(), clock)
    limits.acquire_connection(ANN, HERE)
    messages.begin("a", ANN)
    with pytest.raises(TooMany):
        limits.acquire_connection(ANN, HERE)
    messages.forget("a")
    messages.forget("a")
    limits.acquire_connection(ANN, HERE)
    for _ in range(2):
        messages.begin("b", OPEN)
        messages.forget("b")
