"""Tasks and schedules of a kind that no running worker knows: accepted with a warning."""

from __future__ import annotations

from swallowtail.app.core.coordination.worker_registry import announce, retire
from tests.web.app_fixture import WebApp, expect_json

WORD = "No running worker knows the kind 'brief': a task of it waits for one, and fails if none comes"
NO_WORKER = {"reason": "no_worker", "message": "No worker is running: the task waits for one"}
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


def test_a_task_says_why_it_waits_in_the_answer_in_lists_and_alone(web_app: WebApp) -> None:
    def read_waits() -> list[object]:
        alone = expect_json(web_app.get(f"/tasks/{task_id}"))["waiting"]
        (listed,) = expect_json(web_app.get("/instances/acme/tasks"))["items"]
        return [alone, listed["waiting"]]

    task = expect_json(web_app.post("/instances/acme/tasks", {"kind": "brief", "input": {"text": "hi"}}), 201)["task"]
    task_id = task["id"]
    assert [task["waiting"], *read_waits()] == [NO_WORKER] * 3
    announce(web_app.rt.db, "one", ["echo"], 60.0)
    assert read_waits() == [{"reason": "no_worker_for_kind", "message": WORD}] * 2
    announce(web_app.rt.db, "two", ["brief"], 60.0)
    assert read_waits() == [None, None]
    # The broker of this deployment does not run.
    web_app.rt.relay.update_depth()
    away = {"reason": "broker_unavailable", "message": "The broker is unavailable: the task waits for it"}
    assert read_waits() == [away, away]
    web_app.post(f"/tasks/{task_id}/cancel")
    assert read_waits() == [None, None]
