"""Tasks and schedules of a kind that no running worker knows: taken, but not without a word, whoever asks."""

from __future__ import annotations

from app.core.fleet import announce, retire
from tests.web.desk import Desk, take

WORD = "No running worker knows the kind 'brief': a task of it waits for one, and fails if none comes"
CAUTION = [{"code": "no_worker", "message": WORD}]
SCHEDULE = {"name": "Nightly", "kind": "brief", "input": {"text": "hi"}, "cron": "0 0 * * *"}


def test_a_task_a_schedule_and_a_retry_of_a_kind_that_nobody_knows_come_with_a_word(
    desk: Desk,
) -> None:
    announce(desk.rt.db, "one", ["echo"], 60.0)
    body = {"kind": "brief", "input": {"text": "hi"}}
    told = take(desk.post("/instances/acme/tasks", body), 201)
    assert told["warnings"] == CAUTION
    assert take(desk.post("/instances/acme/schedules", SCHEDULE), 201)["warnings"] == CAUTION
    cancelled = take(desk.post(f"/tasks/{told['task']['id']}/cancel"))
    assert "warnings" not in cancelled
    assert take(desk.post(f"/tasks/{told['task']['id']}/retry"))["warnings"] == CAUTION
    for page in ("new", "schedules"):
        assert "No running worker knows the kind" in desk.fetch(f"/instances/acme/{page}").text
    announce(desk.rt.db, "two", ["brief"], 60.0)
    assert "warnings" not in take(desk.post("/instances/acme/tasks", body), 201)
    assert "No running worker knows" not in desk.fetch("/instances/acme/new").text
    retire(desk.rt.db, "one")
    retire(desk.rt.db, "two")
    told = take(desk.post("/instances/acme/tasks", body), 201)
    assert told["warnings"][0]["message"] == "No worker is running: the task waits for one"
