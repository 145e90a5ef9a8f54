"""Sign-in over REST: tokens in the header only, uniform responses to failures, users managed by superusers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy import select
from werkzeug.test import TestResponse

from swallowtail.app.core.events import now
from swallowtail.app.core.identity import users
from swallowtail.app.core.tables.audit import AuditEntry
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.app_fixture import Json, WebApp, expect_json, expect_problem
from tests.web.ops.test_openapi import DocumentChecker

NEW = "staple after staple"


def _open(directory: Path, **values: Any) -> WebApp:
    options = {
        "var_dir": directory,
        "async_mode": "threading",
        "auth": "required",
        "secret_key": KEY,
        **CHEAP,
        **values,
    }
    web_app = WebApp(make_settings(**options))
    users.create_user(web_app.rt, "ann", PASSWORD)
    users.create_user(web_app.rt, "boss", PASSWORD, is_superuser=True)
    return web_app


@pytest.fixture
def web_app(tmp_path: Path) -> Iterator[WebApp]:
    web_app = _open(tmp_path)
    yield web_app
    web_app.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def login(web_app: WebApp, name: str = "ann", password: str = PASSWORD) -> Json:
    return expect_json(web_app.post("/auth/login", {"name": name, "password": password}))


def as_user(web_app: WebApp, name: str = "ann") -> dict[str, Any]:
    return {"headers": bearer(login(web_app, name)["access_token"])}


def audit(web_app: WebApp) -> list[tuple[str, str, str, str]]:
    """Return the entries except those about refused tokens, which are written later (`test_denied_requests`)."""
    criteria = (AuditEntry.scope == "", AuditEntry.action != "token.refused")
    with web_app.rt.db.read() as session:
        rows = session.scalars(select(AuditEntry).where(*criteria).order_by(AuditEntry.number))
        return [(row.actor_name, row.action, row.entrance, row.address) for row in rows]


def unauthenticated(answer: TestResponse, detail: str | None = None) -> None:
    body = expect_problem(answer, 401, "unauthenticated")
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="swallowtail"')
    if detail is not None:
        assert detail in body["detail"]
        assert f'error="invalid_token", error_description="{body["detail"]}"' in challenge


def test_a_user_signs_in_uses_the_token_and_signs_out(web_app: WebApp) -> None:
    response = web_app.post("/auth/login", {"name": "ANN", "password": PASSWORD})
    tokens = expect_json(response)
    assert response.headers["Cache-Control"] == "no-store"
    assert (tokens["token_type"], tokens["name"]) == ("Bearer", "ann")
    headers = bearer(tokens["access_token"])
    who = expect_json(web_app.get("/auth/whoami", headers=headers))
    assert who == {
        "kind": "user",
        "id": tokens["user_id"],
        "name": "ann",
        "is_superuser": False,
        "acts": None,
        "instance_id": None,
        "task_id": None,
        "fields": None,
        "expires_at": who["expires_at"],
    }
    assert web_app.post("/auth/logout", headers=headers).status_code == 204
    unauthenticated(web_app.get("/auth/whoami", headers=headers), "revoked")
    unauthenticated(web_app.post("/auth/refresh", {"session_token": tokens["session_token"]}))
    assert audit(web_app) == [
        ("ann", "session.open", "rest", "127.0.0.1"),
        ("ann", "session.close", "rest", "127.0.0.1"),
    ]


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(web_app: WebApp) -> None:
    users.disable_user(web_app.rt, "ann")
    responses = [
        web_app.post("/auth/login", {"name": name, "password": password})
        for name, password in (
            ("ann", PASSWORD),
            ("boss", "wrong password"),
            ("nobody", PASSWORD),
            ("", ""),
            ("é", "x"),
        )
    ]
    for response in responses:
        unauthenticated(response)
    assert len({response.get_data() for response in responses}) == 1
    assert len({str(sorted(response.headers)) for response in responses}) == 1
    # One entry per name, known or not, so that both take the same time (docs/audit.md).
    assert audit(web_app) == [("", "login.failed", "rest", "127.0.0.1")] * 5


def test_a_session_continues_with_the_next_token_and_ends_with_an_old_one(web_app: WebApp) -> None:
    first = login(web_app)
    with time_machine.travel(now() + timedelta(minutes=16)):
        unauthenticated(web_app.get("/auth/whoami", headers=bearer(first["access_token"])), "expired")
        second = expect_json(web_app.post("/auth/refresh", {"session_token": first["session_token"]}))
        expect_json(web_app.get("/auth/whoami", headers=bearer(second["access_token"])))
        unauthenticated(web_app.post("/auth/refresh", {"session_token": first["session_token"]}))
        unauthenticated(web_app.get("/auth/whoami", headers=bearer(second["access_token"])), "revoked")


def test_without_a_token_sign_in_is_required(web_app: WebApp) -> None:
    for path in ("/auth/whoami", "/users", "/tokens", "/instances"):
        unauthenticated(web_app.get(path))


@pytest.mark.parametrize("place", ["access_token", "token", "bearer", "session_token"])
def test_a_token_in_the_address_or_in_a_cookie_of_that_name_is_never_read(web_app: WebApp, place: str) -> None:
    token = login(web_app)["access_token"]
    unauthenticated(web_app.get(f"/auth/whoami?{place}={token}"))
    unauthenticated(web_app.get("/auth/whoami", headers={"Cookie": f"{place}={token}"}))


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer x", "bearer a.b.c", "Bearer swt_0_0", "BEARER \u00e9", "Bearer " + "x" * 9000],
    ids=lambda text: ascii(text)[:20],
)
def test_a_bad_token_is_refused_even_without_required_authentication(tmp_path: Path, header: str) -> None:
    web_app = _open(tmp_path, auth="open")
    try:
        unauthenticated(
            web_app.get("/instances", headers={"Authorization": header}), "not a token that is accepted here"
        )
        expect_json(web_app.get("/instances"))
        assert expect_json(web_app.get("/auth/whoami"))["kind"] == "open"
        # Basic authentication belongs to a proxy.
        expect_json(web_app.get("/instances", headers={"Authorization": "Basic YTpi"}))
        assert expect_json(web_app.get("/auth/whoami", **as_user(web_app)))["name"] == "ann"
    finally:
        web_app.close()


def test_a_user_changes_the_own_password(web_app: WebApp) -> None:
    me = as_user(web_app)
    expect_problem(
        web_app.post("/auth/password", {"password": "wrong", "new_password": NEW}, **me), 403, "forbidden", "password"
    )
    short = web_app.post("/auth/password", {"password": PASSWORD, "new_password": "short"}, **me)
    body = expect_problem(short, 422, "invalid_input", "new_password")
    assert "short" not in str(body)
    assert web_app.post("/auth/password", {"password": PASSWORD, "new_password": NEW}, **me).status_code == 204
    unauthenticated(web_app.get("/auth/whoami", **me), "revoked")
    login(web_app, password=NEW)


def test_superusers_keep_users(web_app: WebApp) -> None:
    root = as_user(web_app, "boss")
    response = web_app.post("/users", {"name": "Bob", "password": PASSWORD}, **root)
    tokens = expect_json(response, 201)
    assert response.headers["Location"] == "/api/v1/users/bob"
    assert expect_json(web_app.get("/users/bob", **root)) == tokens
    bob = as_user(web_app, "bob")
    assert expect_json(web_app.post("/users/bob/disable", **root))["disabled_at"] is not None
    unauthenticated(web_app.get("/auth/whoami", **bob))
    assert expect_json(web_app.post("/users/bob/enable", **root))["disabled_at"] is None
    expect_json(web_app.post("/users/bob/password", {"password": NEW}, **root))
    login(web_app, "bob", NEW)
    page = expect_json(web_app.get("/users?limit=2", **root))
    rest = expect_json(web_app.get(f"/users?limit=2&cursor={page['next_cursor']}", **root))
    assert [one["name"] for one in page["items"] + rest["items"]] == ["ann", "bob", "boss"]
    expect_problem(web_app.post("/users/boss/disable", **root), 409, "conflict", "name")
    expect_problem(web_app.get("/users/nobody", **root), 404, "not_found", "name")
    # The names of users are shorter than those of other lists.
    expect_json(web_app.get(f"/users?cursor={'z' * 500}", **root))
    expect_problem(web_app.get(f"/users?cursor={'z' * 501}", **root), 422, "invalid_input", "cursor")
    expect_problem(web_app.post("/users", {"name": "bob", "password": PASSWORD}, **root), 409, "conflict", "name")
    expect_problem(web_app.post("/users", {"name": "eve"}, **root), 422, "invalid_input", "password")
    expect_problem(web_app.post("/users", {"name": "eve", "issuer": "a"}, **root), 422, "invalid_input", "subject")
    expect_problem(web_app.get("/users", **bob), 401, "unauthenticated")
    expect_problem(web_app.get("/users", **as_user(web_app)), 403, "forbidden")


def test_a_personal_token_is_shown_once_used_and_revoked(web_app: WebApp) -> None:
    me = as_user(web_app)
    new_token = {"name": "ci", "acts": ["instance.read", "instance.create"], "lifetime": 3600.0}
    created = expect_json(web_app.post("/tokens", new_token, **me), 201)
    script = {"headers": bearer(created["secret"])}
    expect_json(web_app.post("/instances", {"name": "Mine", "id": "mine"}, **script), 201)
    expect_problem(
        web_app.post("/instances/mine/tasks", {"kind": "brief", "input": {"text": "a"}}, **script), 403, "forbidden"
    )
    expect_problem(web_app.post("/tokens", {"name": "more"}, **script), 403, "forbidden")
    web_app.rt.store_token_uses()
    (listed,) = expect_json(web_app.get("/tokens", **me))["items"]
    assert listed | {"last_used_at": None} == created["token"]
    assert listed["last_used_at"] is not None
    assert created["secret"] not in web_app.get("/tokens", **me).text
    address = f"/api/v1/tokens/{listed['id']}"
    assert web_app.client.delete(address, **me).status_code == 204
    unauthenticated(web_app.get("/auth/whoami", **script), "revoked")
    expect_problem(web_app.client.delete("/api/v1/tokens/x", **me), 422, "invalid_input", "token_id")


def test_a_personal_token_signs_itself_out(web_app: WebApp) -> None:
    created = expect_json(web_app.post("/tokens", {"name": "cli", "acts": ["instance.read"]}, **as_user(web_app)), 201)
    assert web_app.post("/auth/logout", headers=bearer(created["secret"])).status_code == 204
    unauthenticated(web_app.get("/auth/whoami", headers=bearer(created["secret"])), "revoked")


def test_the_responses_have_the_schemas_that_the_document_describes(web_app: WebApp) -> None:
    checker = DocumentChecker(expect_json(web_app.client.get("/api/openapi.json")))
    tokens = checker.check("login", web_app.post("/auth/login", {"name": "boss", "password": PASSWORD}))
    root = {"headers": bearer(tokens["access_token"])}
    checker.check("refresh", web_app.post("/auth/refresh", {"session_token": tokens["session_token"]}))
    checker.check("whoami", web_app.get("/auth/whoami", **root))
    checker.check("create_user", web_app.post("/users", {"name": "bob", "password": PASSWORD}, **root))
    for name in ("disable", "enable"):
        checker.check(f"{name}_user", web_app.post(f"/users/bob/{name}", **root))
    checker.check("set_password", web_app.post("/users/bob/password", {"password": NEW}, **root))
    checker.check("show_user", web_app.get("/users/bob", **root))
    checker.check("list_users", web_app.get("/users", **root))
    checker.check("mint_token", web_app.post("/tokens", {"name": "ci"}, **root))
    checker.check("list_tokens", web_app.get("/tokens", **root))
    checker.check("login", web_app.post("/auth/login", {"name": "boss", "password": "wrong"}))
    checker.check("change_password", web_app.post("/auth/password", {"password": "x", "new_password": NEW}, **root))


def test_password_guesses_are_limited_and_correct_logins_are_not(tmp_path: Path) -> None:
    web_app = _open(tmp_path)
    try:
        for _ in range(50):
            response = web_app.post("/auth/login", {"name": "ann", "password": "wrong password"})
            if response.status_code == 429:
                break
            unauthenticated(response)
        expect_problem(response, 429, "rate_limited")
        assert int(response.headers["Retry-After"]) >= 1
        # The right password is not checked either.
        expect_problem(web_app.post("/auth/login", {"name": "ann", "password": PASSWORD}), 429, "rate_limited")
        tried = len(audit(web_app))
        assert 0 < tried < 50
    finally:
        web_app.close()


def test_the_present_password_cannot_be_tried_without_end(web_app: WebApp) -> None:
    me = as_user(web_app)
    statuses = [
        web_app.post("/auth/password", {"password": "wrong", "new_password": NEW}, **me).status_code for _ in range(50)
    ]
    assert statuses[0] == 403
    assert statuses[-1] == 429
