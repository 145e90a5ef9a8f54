"""Every route × every kind of caller; a route that is missing in the table fails."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from swallowtail.app.core.tables.tasks import Task
from tests.web.access_table import CALLERS, TABLE
from tests.web.callers import CallersApp, make_front_end


def test_every_route_is_in_the_table_and_nothing_else(callers_app: CallersApp) -> None:
    served = {
        f"{method} {rule.rule}"
        for rule in callers_app.web_app.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == set(TABLE)


@pytest.mark.parametrize("route", TABLE)
def test_every_caller_gets_the_expected_status(callers_app: CallersApp, route: str) -> None:
    row, method = TABLE[route], route.partition(" ")[0]
    options = {}
    for place, who in enumerate(CALLERS):
        body = row.body if row.body is None or "name" not in row.body else {**row.body, "name": f"{who}-{place}"}
        options[who] = callers_app.request(who, method, row.path(callers_app), body).status_code
    assert options == row.expected()


READS = [route for route in TABLE if route.startswith("GET") and "<instance_id>" in route]
MISSING_TASK = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("route", READS)
def test_a_foreign_object_is_not_found(callers_app: CallersApp, route: str) -> None:
    path = TABLE[route].path(callers_app)
    unknown = callers_app.request("viewer", "GET", path.replace("acme", "nowhere"))
    forbidden = callers_app.request("viewer", "GET", path.replace("acme", "other"))
    assert (unknown.status_code, forbidden.status_code) == (404, 404)
    assert unknown.text.replace("nowhere", "other") == forbidden.text


@pytest.mark.parametrize("path", ["", "/steps"])
def test_a_foreign_task_is_not_found(callers_app: CallersApp, path: str) -> None:
    for who in ("viewer", "superuser", "page", "task_page"):
        unknown = callers_app.request(who, "GET", f"/api/v1/tasks/{MISSING_TASK}{path}")
        forbidden = callers_app.request(who, "GET", f"/api/v1/tasks/{callers_app.other_task_id}{path}")
        assert (unknown.status_code, unknown.text) == (forbidden.status_code, forbidden.text)
        assert unknown.status_code == 404


def test_lists_contain_only_own_objects(callers_app: CallersApp) -> None:
    for who, seen in (("viewer", {"acme"}), ("stranger", {"other"}), ("superuser", set()), ("page", {"acme"})):
        items = callers_app.request(who, "GET", "/api/v1/instances").get_json()["items"]
        assert {one["id"] for one in items} & {"acme", "other"} == seen


def test_a_token_for_one_task_shows_that_task_only(callers_app: CallersApp) -> None:
    other = callers_app.new_task()
    listed = callers_app.request("task_page", "GET", "/api/v1/instances/acme/tasks").get_json()["items"]
    assert [task["id"] for task in listed] == [callers_app.task_id]
    snapshot = callers_app.request("task_page", "GET", "/api/v1/instances/acme/snapshot").get_json()
    assert [task["id"] for task in snapshot["tasks"]] == [callers_app.task_id]
    events = callers_app.request("task_page", "GET", "/api/v1/instances/acme/events").get_json()
    assert {event["task_id"] for event in events["items"]} == {callers_app.task_id}
    assert events["next_since"] == events["head"]
    assert callers_app.request("task_page", "GET", f"/api/v1/tasks/{other}").status_code == 404
    assert callers_app.request("task_page", "GET", f"/api/v1/instances/acme/events?task_id={other}").status_code == 404


def test_fields_that_a_token_does_not_show_are_null(callers_app: CallersApp) -> None:
    task_id = callers_app.new_task()
    callers_app.web_app.perform(task_id)
    page = make_front_end("acme", task_id, frozenset({"message"}))
    task = callers_app.request(page, "GET", f"/api/v1/tasks/{task_id}").get_json()
    assert (task["status"], task["progress"], task["message"]) == ("COMPLETED", 100.0, "Completed")
    assert [task[name] for name in ("title", "input", "result", "error", "submitted_by")] == [None] * 5
    (step,) = callers_app.request(page, "GET", f"/api/v1/tasks/{task_id}/steps").get_json()["items"]
    assert (step["status"], step["agent"], step["key"]) == ("completed", None, None)
    whole = callers_app.request(page, "GET", f"/api/v1/tasks/{task_id}/steps/{step['step_id']}").get_json()
    assert whole == {**step, "output": None}
    snapshot = callers_app.request(page, "GET", "/api/v1/instances/acme/snapshot").get_json()
    # A snapshot contains tasks without payloads and without why they wait, and step summaries.
    summary = {name: value for name, value in task.items() if name not in ("input", "result", "waiting")}
    assert snapshot["tasks"] == [{**summary, "steps": [step], "steps_complete": True}]
    events = callers_app.request(page, "GET", "/api/v1/instances/acme/events").get_json()["items"]
    assert [event["data"].get("status") for event in events] == [
        "SUBMITTED", "QUEUED", "IN_PROGRESS", "in_progress", "completed", "COMPLETED",
    ]  # fmt: skip
    assert {event["data"].get("output") for event in events} == {None}
    assert events[-1]["data"]["result"] is None


def test_a_title_that_a_token_does_not_show_is_not_searched(callers_app: CallersApp) -> None:
    with callers_app.rt.db.write() as session:
        session.execute(update(Task).where(Task.id == callers_app.task_id).values(title="Spring"))
    shown = {}
    for fields in ("title", "message"):
        page = make_front_end("acme", fields=frozenset({fields}))
        for text in ("spring", "brief"):
            tasks = callers_app.request(page, "GET", f"/api/v1/instances/acme/tasks?text={text}").get_json()["items"]
            shown[fields, text] = callers_app.task_id in [task["id"] for task in tasks]
    assert shown == {
        ("title", "spring"): True, ("title", "brief"): True, ("message", "spring"): False, ("message", "brief"): True,
    }  # fmt: skip


def test_actions_are_recorded_for_the_caller(callers_app: CallersApp) -> None:
    response = callers_app.request("stranger", "POST", "/api/v1/instances", {"name": "Mine", "id": "mine"})
    assert response.status_code == 201
    assert callers_app.request("stranger", "GET", "/api/v1/instances/mine").status_code == 200
    assert callers_app.request("owner", "GET", "/api/v1/instances/mine").status_code == 404
