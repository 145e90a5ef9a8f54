"""Each method of the Python client sends its request and returns a typed result."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from swallowtail.client import ApiError, Client, ConnectionFailed, InvalidInput, Waiting
from tests.clients.rest.fake_server import TASK, FakeRest, outcome, page, problem, reply

STEP = {
    "step_id": "s", "task_id": "t", "key": "plan", "position": 1, "agent": "Manager", "action": "plan",
    "status": "completed", "message": None, "error": None, "attempt": 1, "tries": 1,
    "started_at": "2026-01-01T00:00:00.000Z", "completed_at": "2026-01-01T00:00:01.500Z",
}  # fmt: skip
AGENT = {"kind": "echo", "title": "Echo", "description": "Echoes", "version": "1", "input_schema": {"type": "object"}}
EVENT = {
    "instance_id": "demo",
    "task_id": "t",
    "type": "task_update",
    "data": {},
    "epoch": "e",
    "id": "x",
    "attempt": 0,
}


def open_client(rest: FakeRest, url: str = "http://server", **options: Any) -> Client:
    return Client(url, transport=rest.transport, **options)


def test_a_submission_is_sent_and_read() -> None:
    answer = {**outcome(), "warnings": [{"code": "no_worker", "message": "No worker runs"}]}
    rest = FakeRest(reply(answer, 201))
    done = open_client(rest).submit("echo", {"message": "hi"}, instance="demo", title="T", key="k", expires_in=5)
    assert rest.lines == ["POST /api/v1/instances/demo/tasks"]
    body = json.loads(rest.requests[0].content)
    assert body == {"kind": "echo", "input": {"message": "hi"}, "title": "T", "expires_in": 5}
    assert rest.requests[0].headers["Idempotency-Key"] == "k"
    assert (done.task.id, done.seq, done.epoch, done.created, done.raw) == ("t", 2, "e", True, answer)
    assert [(warning.code, warning.message) for warning in done.warnings] == [("no_worker", "No worker runs")]


def test_a_used_key_returns_the_first_task() -> None:
    assert not open_client(FakeRest(reply(outcome()))).submit("echo", instance="demo", key="k").created


def test_a_task_is_read() -> None:
    waiting = {"reason": "no_worker", "message": "No worker is running"}
    rest = FakeRest(reply(TASK | {"waiting": waiting, "new": 1}))
    task = open_client(rest).get("a/b")
    assert rest.lines == ["GET /api/v1/tasks/a%2Fb"]
    assert (task.kind, task.status, task.is_final, task.input) == ("echo", "QUEUED", False, {"message": "hi"})
    assert (task.created_at, task.started_at) == (datetime(2026, 1, 1, tzinfo=UTC), None)
    assert (task.waiting, task.raw["new"]) == (Waiting("no_worker", "No worker is running"), 1)


def test_steps_are_read() -> None:
    rest = FakeRest(page(STEP), reply(STEP | {"output": 5}))
    client = open_client(rest)
    (step,) = client.steps("t")
    assert (step.step_id, step.key, step.output, step.raw) == ("s", "plan", None, STEP)
    assert client.step("t", "s").output == 5
    assert rest.lines == ["GET /api/v1/tasks/t/steps", "GET /api/v1/tasks/t/steps/s"]


def test_cancel_and_retry() -> None:
    rest = FakeRest(reply(outcome(status="CANCELLED")), reply(outcome()), reply(outcome()))
    client = open_client(rest)
    assert client.cancel("t").task.is_final
    assert client.retry("t").task.status == "QUEUED"
    client.retry("t", from_step="plan")
    assert rest.lines == ["POST /api/v1/tasks/t/cancel", *["POST /api/v1/tasks/t/retry"] * 2]
    assert [request.content for request in rest.requests] == [b"", b"{}", b'{"from_step":"plan"}']


def test_agents_are_read() -> None:
    rest = FakeRest(page(AGENT), reply(AGENT))
    client = open_client(rest)
    assert client.agents() == [client.agent("my agent")]
    assert rest.lines == ["GET /api/v1/agents", "GET /api/v1/agents/my%20agent"]


def test_a_list_of_tasks_comes_in_pages() -> None:
    rest = FakeRest(page(TASK | {"id": "a"}, TASK | {"id": "b"}, cursor="c"), page(TASK | {"id": "d"}))
    tasks = open_client(rest).tasks("demo", status="FAILED", since=datetime(2026, 1, 1, tzinfo=UTC), text="x y")
    assert rest.requests == []
    assert [task.id for task in tasks] == ["a", "b", "d"]
    query = "status=FAILED&since=2026-01-01T00%3A00%3A00%2B00%3A00&text=x%20y"
    path = f"GET /api/v1/instances/demo/tasks?{query}"
    assert [line.replace("+", "%20") for line in rest.lines] == [path, f"{path}&cursor=c"]


def test_a_limit_ends_a_list_without_another_request() -> None:
    rest = FakeRest(page(TASK, TASK, cursor="c"))
    assert len(list(open_client(rest).tasks("demo", limit=2))) == 2
    assert len(rest.requests) == 1
    assert list(open_client(rest).tasks("demo", limit=0)) == []
    assert len(rest.requests) == 1


def test_pages_of_any_list() -> None:
    rest = FakeRest(page(1, 2, cursor="c"), page(3))
    assert list(open_client(rest).pages("/api/v1/users", {"limit": 2})) == [1, 2, 3]
    assert rest.lines == ["GET /api/v1/users?limit=2", "GET /api/v1/users?limit=2&cursor=c"]


def test_stored_events_are_read_up_to_the_head() -> None:
    def events(*seqs: int, head: int) -> httpx2.Response:
        items = [EVENT | {"seq": seq, "attempt": 0} for seq in seqs]
        return reply({"items": items, "epoch": "e", "head": head, "min_seq": 0, "next_since": seqs[-1]})

    rest = FakeRest(events(3, 4, head=5), events(5, 6, head=6))
    assert [event.seq for event in open_client(rest).events("demo", 2)] == [3, 4, 5, 6]
    path = "GET /api/v1/instances/demo/events"
    assert rest.lines == [f"{path}?since=2", f"{path}?since=4&epoch=e"]


def test_other_resources() -> None:
    rest = FakeRest(reply({"ok": 1}), httpx2.Response(204), httpx2.Response(200, text="a line\n"), reply(None))
    client = open_client(rest)
    assert client.request("get", "/api/v1/health", params={"a": 1, "b": None}) == {"ok": 1}
    assert client.request("DELETE", "/api/v1/users/x", json={"a": 1}, headers={"If-Match": "y"}) is None
    assert client.request("GET", "/api/v1/instances/demo/export") == "a line\n"
    assert client.request("GET", "/api/v1/artifacts/x") is None
    assert rest.lines[0] == "GET /api/v1/health?a=1"
    assert rest.requests[1].headers["If-Match"] == "y"


def test_a_url_may_have_a_path() -> None:
    rest = FakeRest(reply(TASK))
    open_client(rest, "https://host/agents/").get("t")
    assert str(rest.requests[0].url) == "https://host/agents/api/v1/tasks/t"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "http://a:b@host", "http://host?x=1"])
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|query") as refusal:
        Client(url)
    assert "a:b" not in str(refusal.value)


CODES = [
    (400, "invalid_json", "InvalidInput"), (401, "unauthenticated", "Unauthenticated"),
    (403, "forbidden", "Forbidden"), (404, "not_found", "NotFound"), (405, "method_not_allowed", "ApiError"),
    (409, "conflict", "Conflict"), (410, "too_old", "ApiError"), (413, "too_large", "InvalidInput"),
    (421, "unknown_host", "ApiError"), (422, "invalid_input", "InvalidInput"), (429, "too_many", "TooFast"),
    (500, "internal", "ApiError"), (503, "not_set_up", "Unavailable"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "name"), CODES)
def test_every_problem_is_an_error_of_its_class(status: int, code: str, name: str) -> None:
    with pytest.raises(ApiError) as raised:
        open_client(FakeRest(problem(status, code, field="title"))).get("t")
    error = raised.value
    assert (type(error).__name__, error.code, error.status, error.field) == (name, code, status, "title")
    assert str(error) == f"it is {code} ({code})"


def test_an_invalid_input_has_all_its_errors() -> None:
    errors = [{"field": "input.a", "message": "is missing"}]
    with pytest.raises(InvalidInput) as raised:
        open_client(FakeRest(problem(422, "invalid_input", errors=errors))).get("t")
    assert raised.value.errors == errors


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx2.Response(502, html="<h1>Bad gateway</h1>"), "http_502"),
        (httpx2.Response(404, json=["not", "found"]), "http_404"),
        (httpx2.Response(200, html="<h1>Welcome to nginx</h1>"), "not_json"),
        (httpx2.Response(200, text="{", headers={"Content-Type": "application/json"}), "not_json"),
        (httpx2.Response(200, json={"id": 1}), "unknown_answer"),
        (httpx2.Response(200, json=[{}]), "unknown_answer"),
        (httpx2.Response(200, json="t"), "unknown_answer"),
        (httpx2.Response(200, json=None), "unknown_answer"),
        (httpx2.Response(200, text="OK"), "unknown_answer"),
        (httpx2.Response(204), "unknown_answer"),
    ],
)
def test_an_answer_of_another_server_is_an_error(answer: httpx2.Response, code: str) -> None:
    with pytest.raises(ApiError) as raised:
        open_client(FakeRest(answer), retries=False).get("t")
    assert raised.value.code == code


def test_no_server_is_a_failed_connection_at_once() -> None:
    rest = FakeRest(httpx2.ConnectError("refused"))
    with pytest.raises(ConnectionFailed, match="no answer from http://server: refused"):
        open_client(rest).get("t")
    assert len(rest.requests) == 1
