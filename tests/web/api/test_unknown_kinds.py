"""Tasks and schedules of a kind that no running worker knows: accepted with a warning."""

from __future__ import annotations

from swallowtail.app.core.coordination.worker_registry import announce, retire
from tests.web.app_fixture import WebApp, expect_json

WORD = "No running worker knows the kind 'brief': a task of it waits for one, and fails if none comes"
CAUTION = [{"code": "no_worker", "message": WORD}]
SCHEDULE = {"name": "Nightly", "kind": "brief", "input": {"text": "hi"}, "cron": "0 0 * * *"}


def test_a_task_a_schedule_and_a_retry_of_an_unknown_kind_come_with_a_warning(
    web_app: WebApp,
) -> None:
    announce(web_app.rt.db, "one", ["echo"], 60.0)
    body = {"kind": "brief", "input": {"text": "hi"}}
    reported = expect_json(web_app.post("/instances/acme/tasks", body), 201)
    assert reported["warnings"] == CAUTION
    assert expect_json(web_app.post("/instances/acme/schedules", SCHEDULE), 201)["warnings"] == CAUTION
    cancelled = expect_json(web_app.post(f"/tasks/{reported['task']['id']}/cancel"))
    assert "warnings" not in cancelled
    assert expect_json(web_app.post(f"/tasks/{reported['task']['id']}/retry"))["warnings"] == CAUTION
    for page in ("new", "schedules"):
        assert "No running worker knows the kind" in web_app.fetch(f"/instances/acme/{page}").text
    announce(web_app.rt.db, "two", ["brief"], 60.0)
    assert "warnings" not in expect_json(web_app.post("/instances/acme/tasks", body), 201)
    assert "No running worker knows" not in web_app.fetch("/instances/acme/new").text
    retire(web_app.rt.db, "one")
    retire(web_app.rt.db, "two")
    reported = expect_json(web_app.post("/instances/acme/tasks", body), 201)
    assert reported["warnings"][0]["message"] == "No worker is running: the task waits for one"
