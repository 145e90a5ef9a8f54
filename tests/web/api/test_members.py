"""Members and API tokens of front ends over REST."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swallowtail.app.core.errors import Unauthenticated
from tests.web.app_fixture import expect_json, expect_problem
from tests.web.callers import CallersApp, open_callers_app


@pytest.fixture
def callers_app(tmp_path: Path) -> Iterator[CallersApp]:
    with open_callers_app(tmp_path) as callers_app:
        yield callers_app


def test_an_admin_keeps_members(callers_app: CallersApp) -> None:
    name = callers_app.new_user()
    token = expect_json(
        callers_app.request("admin", "PUT", f"/api/v1/instances/acme/members/{name}", {"role": "operator"})
    )
    assert (token["name"], token["role"]) == (name, "operator")
    listed = expect_json(callers_app.request("admin", "GET", "/api/v1/instances/acme/members"))["items"]
    assert {one["name"]: one["role"] for one in listed} == {
        "admin": "admin", "operator": "operator", "owner": "owner", "viewer": "viewer", name: "operator",
    }  # fmt: skip
    path = f"/api/v1/instances/acme/members/{name}"
    assert callers_app.request("admin", "DELETE", path).status_code == 204
    expect_problem(callers_app.request("admin", "DELETE", path), 404, "not_found", "name")
    expect_problem(callers_app.request("admin", "DELETE", "/api/v1/instances/acme/members/owner"), 403, "forbidden")
    expect_problem(
        callers_app.request("owner", "DELETE", "/api/v1/instances/acme/members/owner"), 409, "conflict", "name"
    )
    expect_problem(callers_app.request("admin", "PUT", path, {"role": "king"}), 422, "invalid_input", "role")


def test_a_front_ends_token_shows_what_it_was_created_for_until_it_is_revoked(callers_app: CallersApp) -> None:
    tokens = "/api/v1/instances/acme/front-end-tokens"
    new_token = {"name": "page", "task_id": callers_app.task_id, "fields": ["message"], "lifetime": 60.0}
    before = expect_json(callers_app.request("admin", "GET", tokens))["items"]
    created = expect_json(callers_app.request("admin", "POST", tokens, new_token), 201)
    listed = expect_json(callers_app.request("admin", "GET", tokens))["items"]
    assert [one["id"] for one in listed] == [created["token"]["id"], *(one["id"] for one in before)]
    assert created["secret"] not in str(listed)
    actor = callers_app.web_app.web.tokens.read(created["secret"])
    assert (actor.instance_id, actor.task_id, actor.fields) == ("acme", callers_app.task_id, frozenset({"message"}))
    shown = expect_json(callers_app.request(actor, "GET", f"/api/v1/tasks/{callers_app.task_id}"))
    assert (shown["message"], shown["input"]) == ("Submitted", None)
    assert callers_app.request("admin", "DELETE", f"{tokens}/{created['token']['id']}").status_code == 204
    with pytest.raises(Unauthenticated, match="revoked"):
        callers_app.web_app.web.tokens.read(created["secret"])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"fields": ["secret_thing"]}, "fields"),
        ({"acts": ["member.write", "instance.read"]}, "acts"),
        ({"lifetime": 1e9}, "lifetime"),
        ({"name": ""}, "name"),
    ],
)
def test_an_invalid_token_request_is_refused(callers_app: CallersApp, wrong: dict[str, object], field: str) -> None:
    response = callers_app.request(
        "admin", "POST", "/api/v1/instances/acme/front-end-tokens", {"name": "page", **wrong}
    )
    expect_problem(response, 422, "invalid_input", field)
