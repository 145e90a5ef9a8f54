"""Tasks over REST: submit, list, cancel, retry, and input errors."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.web.app_fixture import SUBMISSION, WebApp, expect_json, expect_problem

TASK_FIELDS = {
    "id", "instance_id", "kind", "title", "status", "progress", "message", "attempt", "input", "result", "error",
    "cancel_requested", "submitted_by", "last_seq", "created_at", "started_at", "finished_at", "updated_at",
    "expires_at", "waiting",
}  # fmt: skip
STEP_FIELDS = {
    "step_id", "task_id", "key", "position", "agent", "action", "status", "output", "error", "attempt", "tries",
    "started_at", "completed_at", "message",
}  # fmt: skip


def test_a_submission_is_stored_and_returned_with_its_number(web_app: WebApp) -> None:
    response = web_app.post("/instances/acme/tasks", SUBMISSION | {"title": "First", "expires_in": 60})
    body = expect_json(response, 201)
    task = body["task"]
    assert set(body) == {"task", "seq", "epoch"}
    assert set(task) == TASK_FIELDS
    assert body["seq"] == task["last_seq"] == 1
    assert body["epoch"] == expect_json(web_app.get("/instances/acme"))["epoch"]
    assert (task["status"], task["title"], task["submitted_by"]) == ("SUBMITTED", "First", "api")
    assert task["input"] == {"rounds": 3, "text": "Hello"}
    assert task["expires_at"].endswith("Z")
    assert response.headers["Location"] == f"/api/v1/tasks/{task['id']}"
    assert expect_json(web_app.get(f"/tasks/{task['id']}")) == task


def test_numbers_go_up_with_each_write(web_app: WebApp) -> None:
    assert [web_app.submit()["seq"] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": 5}, "kind"),
        ({"kind": ""}, "kind"),
        ({"kind": "nobody"}, "kind"),
        ({"kind": "a\u0000"}, "kind"),
        ({"kind": "brief"}, "input.text"),
        ({"kind": "brief", "input": None}, "input.text"),
        ({"kind": "brief", "input": []}, "input"),
        ({"kind": "brief", "input": "text"}, "input"),
        ({"kind": "brief", "input": {"text": ""}}, "input.text"),
        ({"kind": "brief", "input": {"text": 5}}, "input.text"),
        ({"kind": "brief", "input": {"text": "a\u0000b"}}, "input.text"),
        ({"kind": "brief", "input": {"text": "a\u001bb"}}, "input.text"),
        ({"kind": "brief", "input": {"text": "a", "platforms": ["fax"]}}, "input.platforms[0]"),
        ({"kind": "brief", "input": {"text": "a", "platforms": ["x", 4]}}, "input.platforms[1]"),
        ({"kind": "brief", "input": {"text": "a", "rounds": 1.5}}, "input.rounds"),
        ({"kind": "brief", "input": {"text": "a", "more": 1}}, "input.more"),
        (SUBMISSION | {"title": ""}, "title"),
        (SUBMISSION | {"title": "a\nb"}, "title"),
        (SUBMISSION | {"title": "a" * 201}, "title"),
        (SUBMISSION | {"title": 4}, "title"),
        (SUBMISSION | {"expires_in": 0}, "expires_in"),
        (SUBMISSION | {"expires_in": -5}, "expires_in"),
        (SUBMISSION | {"expires_in": 1e12}, "expires_in"),
        (SUBMISSION | {"expires_in": "60"}, "expires_in"),
        (SUBMISSION | {"expires_in": True}, "expires_in"),
        (SUBMISSION | {"priority": 5}, "priority"),
        ([SUBMISSION], "body"),
        (5, "body"),
    ],
)
def test_a_bad_submission_is_refused_by_field_and_leaves_nothing(web_app: WebApp, body: object, field: str) -> None:
    expect_problem(web_app.post("/instances/acme/tasks", body), 422, "invalid_input", field)
    assert expect_json(web_app.get("/instances/acme/tasks"))["items"] == []
    assert expect_json(web_app.get("/instances/acme"))["seq"] == 0


def test_a_submission_to_an_unknown_instance_is_not_found(web_app: WebApp) -> None:
    expect_problem(web_app.post("/instances/nobody/tasks", SUBMISSION), 404, "not_found", "instance_id")


@pytest.mark.parametrize("path", ["", "/steps"])
def test_a_missing_task_cannot_be_read(web_app: WebApp, path: str) -> None:
    expect_problem(web_app.get(f"/tasks/{uuid.uuid4()}{path}"), 404, "not_found", "task_id")
    for wrong in ("7", "%00", "x" * 300, "%F0%9F%90%A6"):
        expect_problem(web_app.get(f"/tasks/{wrong}{path}"), 422, "invalid_input", "task_id")


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_a_missing_task_cannot_be_changed(web_app: WebApp, action: str) -> None:
    expect_problem(web_app.post(f"/tasks/{uuid.uuid4()}/{action}"), 404, "not_found", "task_id")
    expect_problem(web_app.post(f"/tasks/7/{action}"), 422, "invalid_input", "task_id")


def test_a_task_id_may_be_in_upper_case(web_app: WebApp) -> None:
    task = web_app.submit()["task"]
    assert expect_json(web_app.get(f"/tasks/{task['id'].upper()}")) == task


def test_steps_are_listed_in_their_order(web_app: WebApp) -> None:
    task_id = web_app.submit()["task"]["id"]
    assert expect_json(web_app.get(f"/tasks/{task_id}/steps")) == {"items": [], "next_cursor": None}
    web_app.perform(task_id, steps=("plan", "write"))
    page = expect_json(web_app.get(f"/tasks/{task_id}/steps"))
    assert [(step["key"], step["position"], step["status"]) for step in page["items"]] == [
        ("plan", 1, "completed"),
        ("write", 2, "completed"),
    ]
    assert all(set(step) == STEP_FIELDS - {"output"} for step in page["items"]), "a list carries no outputs"
    one = expect_json(web_app.get(f"/tasks/{task_id}/steps/{page['items'][1]['step_id']}"))
    assert one == {**page["items"][1], "output": {"did": "write"}}


def test_a_task_that_has_not_begun_is_cancelled_at_once(web_app: WebApp) -> None:
    task_id = web_app.submit()["task"]["id"]
    body = expect_json(web_app.post(f"/tasks/{task_id}/cancel"))
    assert (body["task"]["status"], body["seq"]) == ("CANCELLED", 2)
    again = expect_json(web_app.post(f"/tasks/{task_id}/cancel"))
    assert again == body


def test_a_cancel_request_reaches_a_running_task(web_app: WebApp) -> None:
    task_id = web_app.submit()["task"]["id"]
    claim = web_app.rt.runs.claim(task_id, 1, "hand")
    body = expect_json(web_app.post(f"/tasks/{task_id}/cancel"))
    assert (body["task"]["status"], body["task"]["cancel_requested"]) == ("IN_PROGRESS", True)
    assert claim is not None
    web_app.rt.runs.cancelled(claim)
    assert expect_json(web_app.get(f"/tasks/{task_id}"))["status"] == "CANCELLED"


def test_an_ended_task_cannot_be_cancelled(web_app: WebApp) -> None:
    task_id = web_app.submit()["task"]["id"]
    web_app.perform(task_id)
    expect_problem(web_app.post(f"/tasks/{task_id}/cancel"), 409, "conflict", "status")


def test_a_failed_task_is_retried_with_its_finished_steps(web_app: WebApp) -> None:
    task_id = web_app.submit()["task"]["id"]
    web_app.perform(task_id, steps=("plan", "write"), fail=True)
    body = expect_json(web_app.post(f"/tasks/{task_id}/retry"))
    assert (body["task"]["status"], body["task"]["error"]) == ("RETRYING", None)
    web_app.perform(task_id, attempt=2, steps=("plan", "write"))
    steps = expect_json(web_app.get(f"/tasks/{task_id}/steps"))["items"]
    assert [(step["key"], step["attempt"]) for step in steps] == [("plan", 1), ("write", 1)]


def test_a_retry_may_begin_at_a_step(web_app: WebApp) -> None:
    task_id = web_app.submit()["task"]["id"]
    web_app.perform(task_id, steps=("plan", "write"), fail=True)
    expect_json(web_app.post(f"/tasks/{task_id}/retry", {"from_step": "write"}))
    web_app.perform(task_id, attempt=2, steps=("plan", "write"))
    steps = expect_json(web_app.get(f"/tasks/{task_id}/steps"))["items"]
    assert [(step["key"], step["attempt"]) for step in steps] == [("plan", 1), ("write", 2)]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"from_step": "nothing"}, "from_step"), ({"from_step": 5}, "from_step"), ({"step": "a"}, "step"), ([], "body")],
)
def test_a_bad_retry_is_refused_by_field(web_app: WebApp, body: object, field: str) -> None:
    task_id = web_app.submit()["task"]["id"]
    web_app.perform(task_id, fail=True)
    expect_problem(web_app.post(f"/tasks/{task_id}/retry", body), 422, "invalid_input", field)
    assert expect_json(web_app.get(f"/tasks/{task_id}"))["status"] == "FAILED"


def test_only_an_ended_task_is_retried(web_app: WebApp) -> None:
    waiting, done = web_app.submit()["task"]["id"], web_app.submit()["task"]["id"]
    web_app.perform(done)
    for task_id in (waiting, done):
        expect_problem(web_app.post(f"/tasks/{task_id}/retry"), 409, "conflict", "status")


def test_tasks_are_filtered_by_status_and_kind(web_app: WebApp) -> None:
    first, second = web_app.submit()["task"]["id"], web_app.submit()["task"]["id"]
    web_app.perform(first)

    def ids(**query: str) -> list[str]:
        return [task["id"] for task in expect_json(web_app.get("/instances/acme/tasks", query_string=query))["items"]]

    assert ids() == [second, first]
    assert ids(status="COMPLETED") == [first]
    assert ids(status="SUBMITTED", kind="brief") == [second]
    assert ids(status="FAILED") == []
    assert ids(kind="other") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "completed"}, "status"),
        ({"status": ""}, "status"),
        ({"kind": "a\x00b"}, "kind"),
        ({"kind": ""}, "kind"),
        ({"kind": "a" * 101}, "kind"),
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "21"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "\x00"}, "cursor"),
        ({"cursor": "ä"}, "cursor"),
        ({"cursor": "a" * 501}, "cursor"),
        ({"cursor": "W10"}, "cursor"),
        ({"cursor": "WzEsMl0"}, "cursor"),
        ({"cursor": "Wzk5OTk5OTk5OTk5OTk5OTk5OTksImEiXQ"}, "cursor"),
        ({"cursor": "Wy05MjIzMzcyMDM2ODU0Nzc1ODA4LCJhIl0"}, "cursor"),
        ({"cursor": "WzEsIlx1MDAwMCJd"}, "cursor"),
        ({"page": "2"}, "page"),
    ],
)
def test_a_bad_list_query_is_refused_by_parameter(web_app: WebApp, query: dict[str, str], field: str) -> None:
    web_app.submit()
    expect_problem(web_app.get("/instances/acme/tasks", query_string=query), 422, "invalid_input", field)


def _walk(web_app: WebApp, limit: int, **query: Any) -> list[str]:
    seen: list[str] = []
    cursor = None
    while True:
        more: dict[str, str] = {"cursor": cursor} if cursor else {}
        page = expect_json(web_app.get("/instances/acme/tasks", query_string={"limit": limit, **query, **more}))
        seen += [task["id"] for task in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return seen


def test_pages_of_tasks_cover_all_of_them_once(web_app: WebApp) -> None:
    ids = [web_app.submit()["task"]["id"] for _ in range(13)]
    for limit in (1, 5, 12, 13, 14):
        assert _walk(web_app, limit) == ids[::-1]
    for task_id in ids[::2]:
        web_app.perform(task_id)
    assert _walk(web_app, 3, status="COMPLETED") == ids[::2][::-1]


def test_tasks_are_listed_by_time_and_text(web_app: WebApp) -> None:
    ids = [web_app.submit(title=title)["task"]["id"] for title in ("Spring", "Summer")]
    assert _walk(web_app, 5, text="sUmM") == [ids[1]]
    assert _walk(web_app, 5, text="brief", since="2020-01-01T00:00:00Z") == ids[::-1]
    assert _walk(web_app, 5, until="2020-01-01T00:00:00+01:00") == []
    for query, field in (("since=yesterday", "since"), ("until=2020-01-01", "until"), ("text=", "text")):
        response = web_app.get(f"/instances/acme/tasks?{query}")
        assert (response.status_code, (response.get_json() or {})["field"]) == (422, field)


def test_tasks_submitted_meanwhile_do_not_move_the_pages_that_follow(web_app: WebApp) -> None:
    ids = [web_app.submit()["task"]["id"] for _ in range(9)]
    first = expect_json(web_app.get("/instances/acme/tasks?limit=4"))
    for _ in range(3):
        web_app.submit()
    second = expect_json(
        web_app.get("/instances/acme/tasks", query_string={"limit": 5, "cursor": first["next_cursor"]})
    )
    assert [task["id"] for task in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


def test_a_page_has_the_usual_size_unless_asked_otherwise(web_app: WebApp) -> None:
    for _ in range(6):
        web_app.submit()
    assert len(expect_json(web_app.get("/instances/acme/tasks"))["items"]) == 5
    assert len(expect_json(web_app.get("/instances/acme/tasks?limit=6"))["items"]) == 6
