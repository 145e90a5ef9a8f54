"""What the Python client sends again, when, and until when; the blocking and the asyncio client decide alike."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from swallowtail.client import ApiError, AsyncClient, Client, ConnectionFailed, TooFast, Unavailable
from tests.clients.rest.fake_server import TASK, FakeRest, outcome, page, problem, reply

Do = Callable[[Any], Any]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the clients, which take no time."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr("asyncio.sleep", sleep)
    return pauses


def run(kind: str, rest: FakeRest, do: Do, **options: Any) -> Any:
    """Call `do` with a client of this kind, and return its result."""

    async def run_async() -> Any:
        async with AsyncClient("http://server", transport=rest.transport, **options) as client:
            return await do(client)

    if kind == "async":
        return asyncio.run(run_async())
    with Client("http://server", transport=rest.transport, **options) as client:
        return do(client)


def submit(client: Any) -> Any:
    return client.submit("echo", {}, instance="demo")


def get(client: Any) -> Any:
    return client.get("t")


KINDS = pytest.mark.parametrize("kind", ["blocking", "async"])
REFUSED, LOST = httpx2.ConnectError("refused"), httpx2.ReadError("lost")


@KINDS
def test_a_submission_is_sent_until_it_is_answered_with_the_same_key(kind: str, pauses: list[float]) -> None:
    rest = FakeRest(REFUSED, LOST, problem(503, "unavailable", retry_after="1"), reply(outcome(), 201))
    assert run(kind, rest, submit).created
    keys = [request.headers["Idempotency-Key"] for request in rest.requests]
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert len(keys[0]) >= 32
    assert 0.07 < pauses[0] < 0.13 < pauses[1] < 0.26
    assert pauses[2] == 1.0


@KINDS
def test_two_submissions_have_two_keys(kind: str) -> None:
    keys = []
    for _ in range(2):
        rest = FakeRest(reply(outcome(), 201))
        run(kind, rest, submit)
        keys.append(rest.requests[0].headers["Idempotency-Key"])
    assert keys[0] != keys[1]


@KINDS
def test_the_server_says_when_to_come_again(kind: str, pauses: list[float]) -> None:
    rest = FakeRest(problem(429, "rate_limited", retry_after="7"), reply(TASK))
    assert run(kind, rest, get).id == "t"
    assert pauses == [7.0]


@KINDS
def test_a_pause_beyond_the_timeout_is_an_error_at_once(kind: str, pauses: list[float]) -> None:
    rest = FakeRest(problem(429, "rate_limited", retry_after="31"))
    with pytest.raises(TooFast) as raised:
        run(kind, rest, get)
    assert (raised.value.retry_after, pauses, len(rest.requests)) == (31.0, [], 1)


@KINDS
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem(429, "too_many"), TooFast),
        (problem(503, "not_set_up"), Unavailable),
        (problem(500, "internal"), ApiError),
        (REFUSED, ConnectionFailed),
        (httpx2.UnsupportedProtocol("x"), ConnectionFailed),
    ],
)
def test_what_does_not_pass_is_not_sent_again(
    kind: str, answer: httpx2.Response | Exception, error: type[Exception], pauses: list[float]
) -> None:
    rest = FakeRest(answer)
    with pytest.raises(error):
        run(kind, rest, get)
    assert (len(rest.requests), pauses) == (1, [])


@KINDS
def test_a_certificate_that_is_not_accepted_is_an_error_at_once(kind: str, pauses: list[float]) -> None:
    fault = httpx2.ConnectError("bad certificate")
    fault.__cause__ = ssl.SSLCertVerificationError("bad certificate")
    with pytest.raises(ConnectionFailed, match="bad certificate"):
        run(kind, FakeRest(fault), submit)
    assert pauses == []


@KINDS
def test_a_server_that_answered_before_is_awaited(kind: str, pauses: list[float]) -> None:
    rest = FakeRest(page(TASK, cursor="c"), REFUSED, problem(502, "x"), page(TASK))
    assert len(run(kind, rest, lambda client: _collect(client.tasks("demo")))) == 2
    assert len(pauses) == 2


def _collect(stream: Any) -> Any:
    async def collect() -> list[Any]:
        return [item async for item in stream]

    return collect() if hasattr(stream, "__aiter__") else list(stream)


@KINDS
@pytest.mark.parametrize("answer", [LOST, httpx2.ReadTimeout("late"), problem(503, "unavailable", retry_after="1")])
def test_a_retry_whose_answer_is_lost_is_not_sent_again(
    kind: str, answer: httpx2.Response | Exception, pauses: list[float]
) -> None:
    rest = FakeRest(answer)
    with pytest.raises((ConnectionFailed, Unavailable)):
        run(kind, rest, lambda client: client.retry("t"))
    assert len(rest.requests) == 1


@KINDS
def test_repetition_can_be_switched_off(kind: str, pauses: list[float]) -> None:
    rest = FakeRest(problem(503, "unavailable", retry_after="1"))
    with pytest.raises(Unavailable):
        run(kind, rest, submit, retries=False)
    assert pauses == []


@KINDS
def test_the_timeout_covers_all_repetitions(kind: str) -> None:
    rest = FakeRest(LOST)
    with pytest.raises(ConnectionFailed, match="lost"):
        run(kind, rest, get, timeout=0.5)
    assert len(rest.requests) <= 5
    timeouts = [request.extensions["timeout"]["read"] for request in rest.requests]
    assert timeouts == sorted(timeouts, reverse=True)
    assert timeouts[0] <= 0.5
