"""Unreadable rows are marked in every response, beside the readable ones."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.web.app_fixture import WebApp, expect_json


@pytest.mark.parametrize("stored", ["{", "5", '{"$sealed":"old:AAAA"}'])
def test_every_response_continues_after_an_unreadable_row(web_app: WebApp, stored: str) -> None:
    bad, good = (web_app.submit()["task"]["id"] for _ in range(2))
    for task_id in (bad, good):
        web_app.perform(task_id, fail=True)
    changes = ["task SET error = :value, input = :value WHERE id", "step SET output = :value WHERE task_id"]
    with web_app.rt.db.write() as session:
        for change in (*changes, "event SET data = :value WHERE task_id"):
            session.execute(text(f"UPDATE {change} = :id"), {"value": stored, "id": bad})
    tasks = {task["id"]: task for task in expect_json(web_app.get("/instances/acme/tasks"))["items"]}
    assert tasks[bad]["error"]["code"] == "unreadable"
    assert tasks[good]["error"]["code"] == "agent_failed"
    assert expect_json(web_app.get(f"/tasks/{bad}"))["error"]["code"] == "unreadable"
    assert len(expect_json(web_app.get(f"/tasks/{bad}/steps"))["items"]) == 1
    body = {task["id"]: task["error"]["code"] for task in expect_json(web_app.get("/instances/acme/snapshot"))["tasks"]}
    assert body == {bad: "unreadable", good: "agent_failed"}
    events = expect_json(web_app.get("/instances/acme/events"))["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    for page in (f"/tasks/{bad}", "/instances/acme"):
        assert web_app.fetch(page).status_code in (200, 302)
