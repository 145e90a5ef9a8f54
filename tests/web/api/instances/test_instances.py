"""Instances over REST: creation, lists, input errors and snapshots."""

from __future__ import annotations

import pytest

from tests.web.app_fixture import WebApp, expect_json, expect_problem


def test_an_instance_is_created_shown_and_listed(web_app: WebApp) -> None:
    response = web_app.post("/instances", {"name": "  Globex Ltd ", "id": "globex"})
    created = expect_json(response, 201)
    assert response.headers["Location"] == "/api/v1/instances/globex"
    assert set(created) == {"id", "name", "epoch", "seq", "created_at"}
    assert (created["id"], created["name"], created["seq"]) == ("globex", "Globex Ltd", 0)
    assert expect_json(web_app.get("/instances/globex")) == created
    assert [item["id"] for item in expect_json(web_app.get("/instances"))["items"]] == ["acme", "globex"]


def test_an_instance_without_an_id_gets_one(web_app: WebApp) -> None:
    first = expect_json(web_app.post("/instances", {"name": "A"}), 201)
    second = expect_json(web_app.post("/instances", {"name": "A"}), 201)
    assert first["id"] != second["id"]
    assert expect_json(web_app.get(f"/instances/{first['id']}")) == first


def test_an_id_is_unique(web_app: WebApp) -> None:
    expect_problem(web_app.post("/instances", {"name": "Again", "id": "acme"}), 409, "conflict", "id")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": 7}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "a", "id": ""}, "id"),
        ({"name": "a", "id": "-a"}, "id"),
        ({"name": "a", "id": "a/b"}, "id"),
        ({"name": "a", "id": "ä"}, "id"),
        ({"name": "a", "id": "a" * 65}, "id"),
        ({"name": "a", "id": "a\n"}, "id"),
        ({"name": "a", "id": 5}, "id"),
        ({"name": "a", "color": "red"}, "color"),
        ([], "body"),
        ("text", "body"),
    ],
)
def test_a_bad_instance_is_refused_by_field(web_app: WebApp, body: object, field: str) -> None:
    expect_problem(web_app.post("/instances", body), 422, "invalid_input", field)
    assert [item["id"] for item in expect_json(web_app.get("/instances"))["items"]] == ["acme"]


def test_every_finding_is_listed(web_app: WebApp) -> None:
    body = expect_problem(web_app.post("/instances", {"nam": "A"}), 422, "invalid_input", "name")
    assert body["errors"] == [
        {"field": "name", "message": "this field is required"},
        {"field": "nam", "message": "there is no such field"},
    ]
    assert body["detail"] == "name: this field is required"


def test_pages_of_instances_cover_all_of_them_once(web_app: WebApp) -> None:
    expected = sorted(["acme", *(web_app.create_instance(f"i{n:02}")["id"] for n in range(11))])
    for limit in (1, 5, 11, 12, 20):
        seen, cursor = [], None
        while True:
            more: dict[str, str] = {"cursor": cursor} if cursor else {}
            page = expect_json(web_app.get("/instances", query_string={"limit": limit, **more}))
            assert set(page) == {"items", "next_cursor"}
            assert len(page["items"]) <= limit
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == expected


def test_an_unknown_instance_is_not_found_and_an_impossible_one_is_invalid(web_app: WebApp) -> None:
    for path in ("", "/snapshot", "/events", "/tasks", "/schedules"):
        expect_problem(web_app.get(f"/instances/nobody{path}"), 404, "not_found", "instance_id")
        expect_problem(web_app.get(f"/instances/no%20body{path}"), 422, "invalid_input", "instance_id")
        expect_problem(web_app.get(f"/instances/%00{path}"), 422, "invalid_input", "instance_id")


def test_a_snapshot_is_of_one_moment(web_app: WebApp) -> None:
    body = web_app.submit()
    web_app.perform(body["task"]["id"])
    shown = expect_json(web_app.get("/instances/acme/snapshot"))
    assert set(shown) == {"instance_id", "epoch", "head", "min_seq", "tasks", "complete"}
    assert (shown["instance_id"], shown["epoch"], shown["min_seq"]) == ("acme", body["epoch"], 0)
    assert shown["head"] == expect_json(web_app.get("/instances/acme"))["seq"]
    assert shown["complete"] is True
    assert [(task["status"], [step["key"] for step in task["steps"]]) for task in shown["tasks"]] == [
        ("COMPLETED", ["plan"])
    ]
