"""The event log over REST: complete, in order, with clear errors for deleted events."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import delete, update

from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Event
from tests.web.app_fixture import Json, WebApp, expect_json, expect_problem


def _events(web_app: WebApp, **query: object) -> Json:
    return expect_json(web_app.get("/instances/acme/events", query_string=query))


def _lines(page: Json) -> list[tuple[int, str, str | None]]:
    return [(e["seq"], e["type"], e["data"].get("status")) for e in page["items"]]


def test_the_log_of_a_task_is_exactly_this(web_app: WebApp) -> None:
    body = web_app.submit()
    web_app.perform(body["task"]["id"])
    page = _events(web_app, limit=20)
    assert set(page) == {"items", "epoch", "head", "min_seq", "next_since"}
    assert (page["epoch"], page["head"], page["min_seq"], page["next_since"]) == (body["epoch"], 6, 0, 6)
    assert _lines(page) == [
        (1, "task_update", "SUBMITTED"),
        (2, "task_update", "QUEUED"),
        (3, "task_update", "IN_PROGRESS"),
        (4, "execution_step", "in_progress"),
        (5, "execution_step", "completed"),
        (6, "task_update", "COMPLETED"),
    ]
    fields = {"instance_id", "task_id", "type", "data", "seq", "epoch", "id", "attempt"}
    assert all(set(event) == fields for event in page["items"])


def test_an_empty_log_has_no_events(web_app: WebApp) -> None:
    page = _events(web_app)
    assert (page["items"], page["head"], page["next_since"]) == ([], 0, 0)


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7])
def test_reading_on_from_next_since_gives_each_event_once(web_app: WebApp, limit: int) -> None:
    web_app.perform(web_app.submit()["task"]["id"])
    since, seen = 0, []
    while True:
        page = _events(web_app, since=since, limit=limit)
        seen += [event["seq"] for event in page["items"]]
        since = page["next_since"]
        if since == page["head"]:
            break
    assert seen == [1, 2, 3, 4, 5, 6]


def test_the_events_of_one_task_are_read_past_the_others(web_app: WebApp) -> None:
    first, second = web_app.submit()["task"]["id"], web_app.submit()["task"]["id"]
    web_app.perform(first)
    page = _events(web_app, task_id=second)
    assert _lines(page) == [(2, "task_update", "SUBMITTED")]
    assert page["next_since"] == page["head"] == 7
    page = _events(web_app, task_id=first, limit=2)
    assert (_lines(page), page["next_since"]) == ([(1, "task_update", "SUBMITTED"), (3, "task_update", "QUEUED")], 3)
    assert _events(web_app, task_id=str(uuid.uuid4()))["items"] == []


def test_a_position_that_is_no_longer_stored_is_too_old(web_app: WebApp) -> None:
    reported = web_app.submit()
    web_app.perform(reported["task"]["id"])
    with web_app.rt.db.write() as session:
        session.execute(delete(Event).where(Event.seq <= 3))
        session.execute(update(Instance).where(Instance.id == "acme").values(min_seq=3))
    body = expect_problem(web_app.get("/instances/acme/events?since=2"), 410, "too_old", "since")
    assert (body["min_seq"], body["head"], body["epoch"]) == (3, 6, reported["epoch"])
    page = _events(web_app, since=3)
    assert [event["seq"] for event in page["items"]] == [4, 5, 6]
    assert page["min_seq"] == 3


def test_a_position_in_another_log_is_refused(web_app: WebApp) -> None:
    body = web_app.submit()
    assert _events(web_app, since=1, epoch=body["epoch"])["items"] == []
    expect_problem(web_app.get("/instances/acme/events?since=1&epoch=other"), 410, "epoch", "since")
    expect_problem(web_app.get("/instances/acme/events?since=2"), 410, "epoch", "since")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "-1"}, "since"),
        ({"since": "x"}, "since"),
        ({"since": "1.5"}, "since"),
        ({"since": ""}, "since"),
        ({"since": str(2**63)}, "since"),
        ({"limit": "0"}, "limit"),
        ({"limit": "21"}, "limit"),
        ({"task_id": "7"}, "task_id"),
        ({"task_id": "\x00"}, "task_id"),
        ({"from": "1"}, "from"),
    ],
)
def test_a_bad_event_query_is_refused_by_parameter(web_app: WebApp, query: dict[str, str], field: str) -> None:
    expect_problem(web_app.get("/instances/acme/events", query_string=query), 422, "invalid_input", field)


def test_the_largest_position_is_ahead_of_every_log(web_app: WebApp) -> None:
    expect_problem(web_app.get(f"/instances/acme/events?since={2**63 - 1}"), 410, "epoch", "since")
