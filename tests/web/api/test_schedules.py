"""Schedules over REST: add, pause, resume, remove, and input errors."""

from __future__ import annotations

import base64
import uuid
from datetime import timedelta

import pytest

from swallowtail.app.core.events import now
from swallowtail.app.core.services import schedule_firing
from tests.web.app_fixture import Json, WebApp, expect_json, expect_problem

DAILY = {"name": "Daily", "kind": "brief", "input": {"text": "Hello"}, "cron": "0 9 * * *"}
FIELDS = {
    "id", "instance_id", "name", "kind", "input", "timing", "cron", "timezone", "interval_seconds", "run_at",
    "catch_up", "overlap", "paused", "next_slot_at", "last_slot_at", "created_at",
}  # fmt: skip


def _add(web_app: WebApp, **more: object) -> Json:
    return expect_json(web_app.post("/instances/acme/schedules", DAILY | more), 201)


def test_a_schedule_is_added_shown_and_listed(web_app: WebApp) -> None:
    response = web_app.post("/instances/acme/schedules", DAILY | {"timezone": "Europe/Berlin"})
    added = expect_json(response, 201)
    assert set(added) == FIELDS
    assert response.headers["Location"] == f"/api/v1/schedules/{added['id']}"
    assert (added["timing"], added["cron"], added["timezone"]) == ("cron", "0 9 * * *", "Europe/Berlin")
    assert (added["catch_up"], added["overlap"], added["paused"]) == ("latest", "allow", False)
    assert added["next_slot_at"] is not None
    assert expect_json(web_app.get(f"/schedules/{added['id']}")) == added
    summary = {name: value for name, value in added.items() if name != "input"}
    assert expect_json(web_app.get("/instances/acme/schedules")) == {"items": [summary], "next_cursor": None}


def test_pages_of_schedules_are_by_name_and_cover_all_once(web_app: WebApp) -> None:
    names = sorted(["\U0001f98b" * 190 + f"{number:02}" for number in range(4)] + ["B", "a", "ä"])
    for name in names[::-1]:
        _add(web_app, name=name)
    seen: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = expect_json(web_app.get("/instances/acme/schedules", query_string={"limit": 2, **more}))
        assert len(page["items"]) <= 2
        seen += [one["name"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        more = {"cursor": page["next_cursor"]}
    assert seen == names
    expect_problem(web_app.get("/instances/acme/schedules?cursor=x"), 422, "invalid_input", "cursor")
    expect_problem(web_app.get("/instances/acme/schedules?limit=21"), 422, "invalid_input", "limit")


def test_a_cursor_contains_no_name_and_ends_with_its_schedule(web_app: WebApp) -> None:
    added = [_add(web_app, name=f"sync sk-live-{number}{'a' * 40}") for number in range(2)]
    page = expect_json(web_app.get("/instances/acme/schedules?limit=1"))
    assert b"sync" not in base64.urlsafe_b64decode(page["next_cursor"] + "==")
    web_app.create_instance("other")
    query = {"cursor": page["next_cursor"]}
    expect_problem(web_app.get("/instances/other/schedules", query_string=query), 422, "invalid_input", "cursor")
    web_app.client.delete(f"/api/v1/schedules/{added[0]['id']}")
    expect_problem(web_app.get("/instances/acme/schedules", query_string=query), 422, "invalid_input", "cursor")


def test_a_page_has_as_many_schedules_as_others_and_says_where_the_next_begins(web_app: WebApp) -> None:
    for number in range(6):
        _add(web_app, name=f"S{number}")
    first = web_app.client.get("/instances/acme/schedules").text
    page = expect_json(web_app.get("/instances/acme/schedules"))
    assert ("S4" in first, "S5" in first) == (True, False)
    later = web_app.client.get("/instances/acme/schedules", query_string={"cursor": page["next_cursor"]}).text
    assert ("S4" in later, "S5" in later) == (False, True)


def test_a_schedule_may_be_an_interval_or_one_moment(web_app: WebApp) -> None:
    interval = _add(web_app, name="Often", cron=None, interval_seconds=60)
    assert (interval["timing"], interval["interval_seconds"]) == ("interval", 60.0)
    once = _add(web_app, name="Once", cron=None, run_at="2100-01-01T09:00:00+01:00")
    assert (once["timing"], once["run_at"]) == ("once", "2100-01-01T08:00:00.000Z")
    assert once["next_slot_at"] == once["run_at"]


def test_a_schedule_is_paused_resumed_and_removed(web_app: WebApp) -> None:
    added = _add(web_app)
    paused = expect_json(web_app.post(f"/schedules/{added['id']}/pause"))
    assert (paused["paused"], paused["next_slot_at"]) == (True, None)
    assert expect_json(web_app.post(f"/schedules/{added['id']}/pause")) == paused
    resumed = expect_json(web_app.post(f"/schedules/{added['id']}/resume"))
    assert resumed["paused"] is False
    assert resumed["next_slot_at"] is not None
    response = web_app.client.delete(f"/api/v1/schedules/{added['id']}")
    assert (response.status_code, response.data) == (204, b"")
    expect_problem(web_app.get(f"/schedules/{added['id']}"), 404, "not_found", "schedule_id")
    expect_problem(web_app.client.delete(f"/api/v1/schedules/{added['id']}"), 404, "not_found", "schedule_id")


def test_slots_have_their_outcomes(web_app: WebApp) -> None:
    added = _add(web_app)
    assert expect_json(web_app.get(f"/schedules/{added['id']}/slots")) == {"items": [], "next_cursor": None}
    schedule_firing.fire_due(web_app.rt, at=now() + timedelta(days=1, minutes=1))
    slots = expect_json(web_app.get(f"/schedules/{added['id']}/slots"))["items"]
    assert [set(slot) for slot in slots] == [{"schedule_id", "planned_at", "outcome", "reason", "task_id"}]
    assert (slots[0]["outcome"], slots[0]["planned_at"]) == ("fired", added["next_slot_at"])
    assert expect_json(web_app.get(f"/tasks/{slots[0]['task_id']}"))["status"] == "SUBMITTED"


def test_a_name_is_unique_in_an_instance(web_app: WebApp) -> None:
    _add(web_app)
    expect_problem(web_app.post("/instances/acme/schedules", DAILY), 409, "conflict", "name")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": 4}, "name"),
        ({"kind": "nobody"}, "kind"),
        ({"input": {}}, "input.text"),
        ({"input": {"text": "a", "platforms": ["fax"]}}, "input.platforms[0]"),
        ({"cron": "0 9 * *"}, "cron"),
        ({"cron": "61 9 * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "\x00 9 * * *"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"cron": 5}, "cron"),
        ({"cron": "* " * 5000}, "cron"),
        ({"cron": None}, "cron"),
        ({"interval_seconds": 60}, "interval_seconds"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "\x00"}, "timezone"),
        ({"timezone": None}, "timezone"),
        ({"cron": None, "interval_seconds": 0}, "interval_seconds"),
        ({"cron": None, "interval_seconds": -1}, "interval_seconds"),
        ({"cron": None, "interval_seconds": 1e300}, "interval_seconds"),
        ({"cron": None, "interval_seconds": "60"}, "interval_seconds"),
        ({"cron": None, "run_at": "2000-01-01T00:00:00Z"}, "run_at"),
        ({"cron": None, "run_at": "2100-01-01T00:00:00"}, "run_at"),
        ({"cron": None, "run_at": "tomorrow"}, "run_at"),
        ({"cron": None, "run_at": 4102444800}, "run_at"),
        ({"cron": None, "run_at": "9999-12-31T23:59:59-12:00"}, "run_at"),
        ({"cron": None, "run_at": "0001-01-01T00:00:00+14:00"}, "run_at"),
        ({"catch_up": "some"}, "catch_up"),
        ({"overlap": None}, "overlap"),
        ({"priority": 1}, "priority"),
    ],
)
def test_a_bad_schedule_is_refused_by_field(web_app: WebApp, change: dict[str, object], field: str) -> None:
    expect_problem(web_app.post("/instances/acme/schedules", DAILY | change), 422, "invalid_input", field)
    assert expect_json(web_app.get("/instances/acme/schedules"))["items"] == []


def test_a_missing_object_is_not_found(web_app: WebApp) -> None:
    expect_problem(web_app.post("/instances/nobody/schedules", DAILY), 404, "not_found", "instance_id")
    unknown = uuid.uuid4()
    for response in (web_app.get(f"/schedules/{unknown}/slots"), web_app.post(f"/schedules/{unknown}/pause")):
        expect_problem(response, 404, "not_found", "schedule_id")
    for response in (
        web_app.get("/schedules/7"),
        web_app.post("/schedules/7/resume"),
        web_app.get("/schedules/%00/slots"),
    ):
        expect_problem(response, 422, "invalid_input", "schedule_id")
    expect_problem(web_app.get(f"/schedules/{_add(web_app)['id']}/slots?limit=0"), 422, "invalid_input", "limit")
