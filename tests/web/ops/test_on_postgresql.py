"""Behaviour that could differ on PostgreSQL: pages, keys, hostile text and outages."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from tests.harness.settings import make_settings
from tests.web.app_fixture import SUBMISSION, WebApp, expect_json, expect_problem

pytestmark = pytest.mark.service


@pytest.fixture
def web_app(tmp_path: Path, postgres_url: str) -> Iterator[WebApp]:
    web_app = WebApp(make_settings(var_dir=tmp_path, async_mode="threading", database_url=postgres_url, auth="open"))
    web_app.create_instance("acme")
    yield web_app
    web_app.close()


def test_pages_cover_all_tasks_once(web_app: WebApp) -> None:
    ids = [web_app.submit()["task"]["id"] for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        more: dict[str, str] = {"cursor": cursor} if cursor else {}
        page = expect_json(web_app.get("/instances/acme/tasks", query_string={"limit": 3, **more}))
        seen += [task["id"] for task in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_many_at_once_with_one_key_make_one_task(web_app: WebApp) -> None:
    def submit(_: int) -> TestResponse:
        client = web_app.app.test_client()
        return client.post("/api/v1/instances/acme/tasks", json=SUBMISSION, headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(submit, range(24)))
    assert sorted(response.status_code for response in responses) == [200] * 23 + [201]
    assert expect_json(web_app.get("/instances/acme"))["seq"] == 1


def test_many_at_once_are_numbered_without_gaps(web_app: WebApp) -> None:
    def submit(_: int) -> int:
        response = web_app.app.test_client().post("/api/v1/instances/acme/tasks", json=SUBMISSION)
        return int(expect_json(response, 201)["seq"])

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(submit, range(24))) == list(range(1, 25))


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/instances/acme/tasks?kind=%00", "kind"),
        ("/instances/acme/tasks?cursor=WzEsIlx1MDAwMCJd", "cursor"),
        ("/instances/acme/tasks?cursor=Wy05MjIzMzcyMDM2ODU0Nzc1ODA4LCJhIl0", "cursor"),
        ("/instances?cursor=WyJcdTAwMDAiXQ", "cursor"),
        ("/agents/%00", "kind"),
        ("/tasks/%00", "task_id"),
        ("/instances/%00", "instance_id"),
    ],
)
def test_text_that_the_database_refuses_does_not_reach_it(web_app: WebApp, path: str, field: str) -> None:
    expect_problem(web_app.get(path), 422, "invalid_input", field)


def test_a_whole_life_of_a_task_reads_the_same(web_app: WebApp) -> None:
    task_id = web_app.submit()["task"]["id"]
    web_app.perform(task_id)
    shown = expect_json(web_app.get("/instances/acme/snapshot"))
    assert (shown["head"], shown["tasks"][0]["status"]) == (6, "COMPLETED")
    assert expect_json(web_app.get(f"/tasks/{task_id}"))["result"] == {"done": True}
    assert [event["seq"] for event in expect_json(web_app.get("/instances/acme/events"))["items"]] == [1, 2, 3, 4, 5, 6]
