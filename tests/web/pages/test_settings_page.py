"""The settings page of an instance: its sections by role, its state, and its CSRF protection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.identity import api_tokens, members, users
from swallowtail.app.core.schemas.identities import NewFrontEndToken
from swallowtail.app.core.security.roles import Act, Role
from swallowtail.app.core.services.instances import create_instance
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.app_fixture import WebApp, expect_json, expect_problem
from tests.web.browser_client import csrf_token_of, sign_in
from tests.web.callers import CallersApp, make_user, open_callers_app

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
PAGE, API = "/instances/acme/settings", "/api/v1/instances/acme"
PARTS = {"members", "add", "tokens", "create-token", "policy", "export", "delete"}
ADMINS_PARTS = PARTS - {"export", "delete"}


@pytest.fixture
def callers_app(tmp_path: Path) -> Iterator[CallersApp]:
    with open_callers_app(tmp_path) as callers_app:
        yield callers_app


def parts_of(text: str) -> set[str]:
    """Return the sections of a page."""
    return set(re.findall(r'id="([a-z-]+)"', text)) & PARTS


def state_of(text: str) -> dict[str, Any]:
    """Return the state that the server rendered into a page."""
    match = re.search(r'<script type="application/json" id="state">(.*?)</script>', text, re.DOTALL)
    assert match, text
    state: dict[str, Any] = json.loads(match[1])
    return state


def test_each_role_gets_the_sections_that_it_may_manage(callers_app: CallersApp) -> None:
    shown = {
        who: callers_app.request(who, "GET", PAGE) for who in ("viewer", "operator", "admin", "owner", "superuser")
    }
    assert {who: response.status_code for who, response in shown.items()} == {
        "viewer": 403, "operator": 403, "admin": 200, "owner": 200, "superuser": 404,
    }  # fmt: skip
    assert {who: parts_of(response.text) for who, response in shown.items()} == {
        "viewer": set(), "operator": set(), "admin": ADMINS_PARTS, "owner": PARTS, "superuser": set(),
    }  # fmt: skip


def test_the_tab_is_shown_with_the_permission(callers_app: CallersApp) -> None:
    for who, offered in (("viewer", False), ("operator", False), ("admin", True), ("owner", True)):
        for path in ("/instances/acme", "/instances/acme/schedules"):
            assert (f'href="{PAGE}"' in callers_app.request(who, "GET", path).text) is offered, who


def test_only_owners_are_offered_to_make_owners(callers_app: CallersApp) -> None:
    for who, roles in (("admin", ["viewer", "operator", "admin"]), ("owner", ["viewer", "operator", "admin", "owner"])):
        page = callers_app.request(who, "GET", PAGE).text
        assert state_of(page)["roles"] == roles
        choices = page.partition('id="member-role"')[2].partition("</select>")[0]
        assert re.findall(r'<option value="([a-z]+)">', choices) == roles


def test_a_token_that_allows_less_shows_less(callers_app: CallersApp) -> None:
    scanty = make_user("owner", acts=frozenset({Act.READ, Act.ISSUE_TOKENS}))
    page = callers_app.request(scanty, "GET", PAGE)
    assert parts_of(page.text) == {"tokens", "create-token"}
    state = state_of(page.text)
    assert not {"members", "policy"} & set(state)
    assert state["acts"] == []
    reader = make_user("owner", acts=frozenset({Act.READ, Act.READ_MEMBERS}))
    assert parts_of(callers_app.request(reader, "GET", PAGE).text) == {"members"}
    assert callers_app.request(make_user("owner", acts=frozenset({Act.READ})), "GET", PAGE).status_code == 403


def test_the_page_shows_the_values_of_the_api(callers_app: CallersApp) -> None:
    callers_app.new_member()
    callers_app.new_token()
    policy = {"secret_fields": ["iban"], "task_days": 7.5}
    assert callers_app.request("admin", "PUT", f"{API}/policy", policy).status_code == 200
    state = state_of(callers_app.request("admin", "GET", PAGE).text)
    assert state["members"] == expect_json(callers_app.request("admin", "GET", f"{API}/members"))["items"]
    assert state["tokens"] == expect_json(callers_app.request("admin", "GET", f"{API}/front-end-tokens"))["items"]
    assert state["policy"] == expect_json(callers_app.request("admin", "GET", f"{API}/policy"))
    assert (state["me"], state["instance"]) == ("admin", "acme")
    assert state["acts"] == ["task.cancel", "task.retry", "task.submit"]
    for part, number in (("members", 5), ("tokens", 2)):
        assert len(state[part]) == number


def test_a_tokens_secret_is_not_on_the_page(callers_app: CallersApp) -> None:
    created = expect_json(callers_app.request("admin", "POST", f"{API}/front-end-tokens", {"name": "shop"}), 201)
    page = callers_app.request("admin", "GET", PAGE).text
    assert created["token"]["id"] in page
    assert created["secret"] not in page
    assert created["secret"].rpartition(".")[2] not in page


def test_foreign_text_is_escaped(callers_app: CallersApp) -> None:
    mine = create_instance(callers_app.rt, EVIL, "evil")["id"]
    members.set_member(callers_app.rt, mine, "owner", "owner")
    api_tokens.issue_front_end(callers_app.rt, callers_app.web_app.web.tokens, mine, NewFrontEndToken(name=EVIL))
    path = f"/api/v1/instances/{mine}/policy"
    assert callers_app.request("owner", "PUT", path, {"secret_fields": [EVIL]}).status_code == 200
    page = callers_app.request("owner", "GET", f"/instances/{mine}/settings").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    state = state_of(page)
    assert [token["name"] for token in state["tokens"]] == [EVIL]
    assert state["policy"]["secret_fields"] == [EVIL]


def test_without_sign_in_every_caller_gets_all_sections(web_app: WebApp) -> None:
    page = web_app.fetch(PAGE)
    assert parts_of(page.text) == PARTS
    assert state_of(page.text)["me"] is None


REFUSED = [
    ("PUT", "/members/nobody.knows", {"role": "viewer"}, 404, "name"),
    ("PUT", "/members/viewer", {"role": "king"}, 422, "role"),
    ("PUT", "/members/owner", {"role": "viewer"}, 409, "name"),
    ("DELETE", "/members/owner", None, 409, "name"),
    ("POST", "/front-end-tokens", {"name": " "}, 422, "name"),
    ("POST", "/front-end-tokens", {"name": "x", "task_id": "nonsense"}, 422, "task_id"),
    ("POST", "/front-end-tokens", {"name": "x", "task_id": "00000000-0000-4000-8000-000000000000"}, 404, "task_id"),
    ("POST", "/front-end-tokens", {"name": "x", "acts": ["member.write"]}, 422, "acts"),
    ("POST", "/front-end-tokens", {"name": "x", "fields": ["no_such"]}, 422, "fields"),
    ("POST", "/front-end-tokens", {"name": "x", "lifetime": 0.5}, 422, "lifetime"),
    ("DELETE", "/front-end-tokens/nonsense", None, 422, "token_id"),
    ("PUT", "/policy", {"event_days": 3.0, "task_days": -1.0}, 422, "task_days"),
    ("PUT", "/policy", {"event_days": 3.0, "secret_fields": ["fine", "\x07"]}, 422, "secret_fields[1]"),
    ("DELETE", "?confirm=Acme", None, 422, "confirm"),
    ("DELETE", "", None, 422, "confirm"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "field"), REFUSED)
def test_a_refusal_names_its_field_and_leaves_everything_as_it_was(
    callers_app: CallersApp, method: str, path: str, body: Any, status: int, field: str
) -> None:
    callers_app.new_token()
    before = state_of(callers_app.request("owner", "GET", PAGE).text)
    codes = {404: "not_found", 409: "conflict", 422: "invalid_input"}
    expect_problem(callers_app.request("owner", method, API + path, body), status, codes[status], field)
    assert state_of(callers_app.request("owner", "GET", PAGE).text) == before


WRITES = [
    ("PUT", "/members/{ben}", {"role": "viewer"}, 200),
    ("DELETE", "/members/ben", None, 204),
    ("POST", "/front-end-tokens", {"name": "shop"}, 201),
    ("DELETE", "/front-end-tokens/{token}", None, 204),
    ("PUT", "/policy", {"hide_emails": True}, 200),
    ("DELETE", "?confirm=acme", None, 200),
]


def test_requests_of_the_page_need_its_csrf_token(tmp_path: Path) -> None:
    options: dict[str, Any] = {"auth": "required", "secret_key": KEY, "async_mode": "threading", **CHEAP}
    web_app = WebApp(make_settings(var_dir=tmp_path, **options))
    _, ben = (users.create_user(web_app.rt, name, PASSWORD)["id"] for name in ("ann", "ben"))
    create_instance(web_app.rt, "Acme", "acme")
    members.set_member(web_app.rt, "acme", "ann", Role.OWNER)
    sign_in(web_app.client)
    page = web_app.client.get(PAGE)
    proof, before, token = csrf_token_of(page), state_of(page.text), ""
    for method, path, body, _ in WRITES:
        for headers in ({}, {"X-CSRF-Token": "0" * 64}):
            expect_problem(web_app.client.open(API + path, method=method, json=body, headers=headers), 403, "csrf")
    assert state_of(web_app.client.get(PAGE).text) == before
    for method, path, body, status in WRITES:
        response = web_app.client.open(
            API + path.format(token=token, ben=ben), method=method, json=body, headers={"X-CSRF-Token": proof}
        )
        assert response.status_code == status, (method, path, response.text)
        token = response.get_json()["token"]["id"] if status == 201 else token
    assert web_app.client.get(PAGE).status_code == 404
    web_app.close()


def test_the_export_is_a_link_of_the_page(callers_app: CallersApp) -> None:
    match = re.search(
        r'<a class="button" id="export" href="([^"]+)" download>', callers_app.request("owner", "GET", PAGE).text
    )
    assert match
    response = callers_app.request("owner", "GET", match[1])
    assert response.headers["Content-Disposition"] == 'attachment; filename="acme.jsonl"'
    assert response.data.splitlines()[-1].startswith(b'{"kind":"manifest"')
