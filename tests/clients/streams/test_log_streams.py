"""Streams of the Python client: every event once and in order, through losses, by websocket and by REST."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from swallowtail.client import (
    Client,
    ConnectionFailed,
    Event,
    Forbidden,
    NotFound,
    Refused,
    Reset,
    Unauthenticated,
)
from swallowtail.client.stream import log_stream
from tests.clients.fake_connection import event
from tests.clients.rest.fake_server import problem
from tests.clients.streams.fake_log import FakeLog, reading
from tests.harness.waiting import wait_until

KINDS = pytest.mark.parametrize("kind", ["blocking", "async"])
ENDED = ["SUBMITTED", "QUEUED", "IN_PROGRESS", None, "COMPLETED"]


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(log_stream, "POLL_EVERY", 0.02)
    monkeypatch.setattr(log_stream, "FALLBACK_AFTER", 0.1)
    monkeypatch.setattr(log_stream, "_POLL_TIMEOUT", 1.0)
    monkeypatch.setattr(log_stream, "REOPEN_AFTER", 0.02)
    return iter([None])


@KINDS
def test_a_stream_begins_at_the_head(kind: str) -> None:
    log = FakeLog("SUBMITTED", "QUEUED")
    with reading(kind, log) as reader:
        connection = log.accept(1)
        assert connection.sent == [("subscribe_instance", {"instance_id": "i", "since": {"epoch": "a", "seq": 2}})]
        for one in log.add("IN_PROGRESS", None):
            connection.say(one["type"], one)
        reader.wait_for(3, 4)
        assert [item.raw for item in reader.items] == log.events[2:]


@KINDS
def test_repeated_and_lost_events_arrive_once(kind: str) -> None:
    log = FakeLog(*ENDED)
    with reading(kind, log, since=0) as reader:
        first = log.accept(1, say=[log.events[0], log.events[0], log.events[1], log.events[3]])
        reader.wait_for(1, 2)
        first.lose()
        log.accept(2, say=[log.events[1], *log.events[2:]])
        reader.wait_for(1, 2, 3, 4, 5)


@KINDS
def test_without_websockets_the_log_is_read_by_rest(kind: str) -> None:
    log = FakeLog("SUBMITTED")
    log.sockets.faults += [ConnectionFailed("a proxy")] * 10_000
    with reading(kind, log, since=0) as reader:
        reader.wait_for(1)
        log.add("QUEUED", "IN_PROGRESS", None)
        reader.wait_for(1, 2, 3, 4)
        log.fault = httpx2.ConnectError("away")
        log.add("COMPLETED")
        log.fault = None
        log.sockets.faults.clear()
        connection = log.accept(1, say=log.events)
        for one in log.add("SUBMITTED"):
            connection.say(one["type"], one)
        reader.wait_for(1, 2, 3, 4, 5, 6)


@KINDS
def test_a_lost_server_is_reported_once_and_its_return_once(kind: str) -> None:
    log = FakeLog("SUBMITTED")
    reports: list[str | None] = []
    with reading(kind, log, since=0, on_connection=reports.append) as reader:
        first = log.accept(1)
        reader.wait_for(1)
        log.sockets.faults += [ConnectionFailed("refused")] * 3
        log.fault = httpx2.ConnectError("away")
        first.lose()
        wait_until(lambda: reports != [], "the loss is reported")
        log.add("QUEUED")
        log.fault = None
        log.accept(2)
        reader.wait_for(1, 2)
        wait_until(lambda: reports[-1] is None, "the return is reported", seen=lambda: reports)
    assert [type(report) for report in reports] == [str, type(None)]


@KINDS
def test_a_server_that_is_away_while_websockets_are_impossible_is_reported(kind: str) -> None:
    log = FakeLog("SUBMITTED")
    log.sockets.faults += [ConnectionFailed("a proxy")] * 10_000
    reports: list[str | None] = []
    with reading(kind, log, since=0, on_connection=reports.append) as reader:
        reader.wait_for(1)
        assert reports == []
        log.fault = problem(503, "unavailable")
        wait_until(lambda: reports != [], "the loss is reported")
        log.fault = None
        wait_until(lambda: reports[-1] is None, "the return is reported", seen=lambda: reports)
    assert [type(report) for report in reports] == [str, type(None)]


@KINDS
def test_a_stream_of_a_task_ends_with_the_task(kind: str) -> None:
    log = FakeLog("SUBMITTED", "QUEUED", "FAILED", "QUEUED")
    log.events[1]["task_id"] = "another"
    with reading(kind, log, task="t") as reader:
        connection = log.accept(1)
        for one in log.add("IN_PROGRESS", "COMPLETED", "QUEUED"):
            connection.say(one["type"], one)
        reader.wait_for_end()
        reader.wait_for(1, 3, 4, 5, 6)


@KINDS
@pytest.mark.parametrize("since", [None, 5])
def test_a_stream_of_a_task_that_ended_needs_no_websocket(kind: str, since: int | None) -> None:
    log = FakeLog(*ENDED)
    with reading(kind, log, task="t", since=since) as reader:
        reader.wait_for_end()
    reader.wait_for(*range((since or 0) + 1, 6))
    assert log.sockets.connections == []


@KINDS
def test_events_that_are_not_stored_any_more_are_a_reset(kind: str) -> None:
    log = FakeLog(*ENDED)
    log.min_seq = 3
    with reading(kind, log, task="t") as reader:
        reader.wait_for_end()
    (reset,) = reader.items
    assert isinstance(reset, Reset)
    assert (reset.head, [task.status for task in reset.tasks]) == (5, ["COMPLETED"])


@KINDS
def test_a_restored_log_is_a_reset(kind: str) -> None:
    log = FakeLog("SUBMITTED", "QUEUED", "IN_PROGRESS")
    with reading(kind, log, since=0) as reader:
        log.accept(1).lose()
        reader.wait_for(1, 2, 3)
        log.epoch, log.events = "b", []
        log.add("SUBMITTED")
        connection = log.sockets.wait_for(2)
        connection.wait_for_sent(1)
        answer = {"ok": True, "mode": "snapshot", "snapshot": log.snapshot, "epoch": "b", "head": 1, "min_seq": 0}
        connection.answer(1, answer)
        connection.say("task_update", event(2, "b"))
        wait_until(lambda: len(reader.items) == 5, "a reset and an event arrive", seen=lambda: reader.items)
    reset, last = reader.items[3:]
    assert (reset.epoch, reset.head, last.epoch, last.seq) == ("b", 1, "b", 2)


@KINDS
def test_a_revoked_permission_ends_the_stream(kind: str) -> None:
    log = FakeLog("SUBMITTED")
    with reading(kind, log) as reader:
        connection = log.accept(1)
        wait_until(lambda: reader.items == [], "the stream is open")
        log.fault = problem(404, "not_found")
        connection.say("reset", {"instance_id": "i", "reason": "revoked"})
        with pytest.raises(NotFound):
            reader.wait_for_end()


@KINDS
def test_a_refused_subscription_that_rest_allows_is_repeated(kind: str) -> None:
    log = FakeLog("SUBMITTED")
    with reading(kind, log, since=0) as reader:
        first = log.sockets.wait_for(1)
        first.wait_for_sent(1)
        error = {"code": "forbidden", "message": "not yet"}
        first.say("error", error)
        first.answer(1, {"ok": False, "error": error})
        log.accept(2)
        reader.wait_for(1)


@KINDS
def test_an_expired_token_is_renewed_for_another_subscription(kind: str) -> None:
    log = FakeLog("SUBMITTED")
    tokens = iter(f"token-{number}" for number in range(100))
    log.sockets.faults.append(Refused("expired"))
    with reading(kind, log, lambda: next(tokens), since=0) as reader:
        log.accept(1)
        reader.wait_for(1)


@KINDS
def test_a_token_that_ends_is_an_error(kind: str) -> None:
    log = FakeLog("SUBMITTED")
    with reading(kind, log, "token") as reader:
        connection = log.accept(1)
        log.fault = problem(401, "unauthenticated")
        connection.say("error", {"code": "unauthenticated", "message": "expired", "reason": "expired"})
        with pytest.raises(Unauthenticated):
            reader.wait_for_end()


@KINDS
@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (403, Forbidden), (401, Unauthenticated)])
def test_a_refusal_at_the_beginning_is_an_error_at_once(kind: str, status: int, error: type[Exception]) -> None:
    log = FakeLog()
    log.fault = problem(status, "x")
    with reading(kind, log) as reader, pytest.raises(error):
        reader.wait_for_end()
    assert log.sockets.connections == []


def test_a_task_that_ends_between_the_read_and_the_subscription_is_not_missed() -> None:
    log = FakeLog("SUBMITTED", "QUEUED", "IN_PROGRESS")

    def end(path: str) -> None:
        if path.endswith("/instances/i"):
            log.before = lambda _: None
            log.add("COMPLETED")

    log.before = end
    transport = httpx2.MockTransport(log.respond)
    with Client("http://server", transport=transport, make_connection=log.sockets.make_connection) as client:
        assert client.wait("t", timeout=60).status == "COMPLETED"
    assert log.sockets.connections == []


def test_a_stream_that_is_closed_ends_its_connection() -> None:
    log = FakeLog("SUBMITTED")
    transport = httpx2.MockTransport(log.respond)
    client = Client("http://server", transport=transport, make_connection=log.sockets.make_connection)
    with client, client.watch("i", since=0) as stream:
        log.sockets.faults += [ConnectionFailed("away")] * 3
        assert isinstance(next(stream), Event)
    assert log.sockets.connections == [] or log.sockets.connections[0].sent
    assert list(stream) == []
