"""Signing in to the pages: a cookie that only our pages can use, a session that ends, menus that show what one may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from app.core import actions, users
from app.core.access import Role
from app.core.events import now
from app.core.models_access import Membership, User
from app.core.settings import Settings
from app.web.lobby import find_own_path
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.desk import GIVEN, Desk, problem
from tests.web.visitors import proof_on, sign_in

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TLS: dict[str, Any] = {"base_url": "https://localhost", "headers": {"X-Forwarded-Proto": "https"}}


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(**values: Any) -> Desk:
        given = {"var_dir": tmp_path, "async_mode": "threading", "auth": "required", "secret_key": KEY, **CHEAP}
        desk = Desk(Settings(_env_file=None, **{**given, **values}))
        desks.append(desk)
        users.create_user(desk.rt, "ann", PASSWORD)
        return desk

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


def cookie(client: FlaskClient) -> str | None:
    kept = client.get_cookie("swallowtail_session")
    return None if kept is None else kept.value


def test_somebody_signs_in_and_out(desk: Desk) -> None:
    client = desk.client
    assert client.get("/", headers=HTML).location == "/login?next=/"
    answer = sign_in(client, following="/agents")
    assert (answer.status_code, answer.location) == (303, "/agents")
    page = client.get("/", headers=HTML)
    assert page.status_code == 200
    assert "Sign out" in page.text
    secret = cookie(client)
    left = client.post("/logout", data={"csrf": proof_on(page)})
    assert (left.status_code, left.location) == (303, "/login")
    assert cookie(client) is None
    client.set_cookie("swallowtail_session", str(secret))
    assert client.get("/", headers=HTML).status_code == 303, "the session itself has ended"


def test_superusers_find_the_log_of_what_is_in_no_instance(desk: Desk) -> None:
    users.create_user(desk.rt, "boss", PASSWORD, is_superuser=True)
    for name, shown in (("ann", False), ("boss", True)):
        client = desk.app.test_client()
        sign_in(client, name=name)
        assert ('href="/audit"' in client.get("/", headers=HTML).text) == shown
        assert client.get("/audit", headers=HTML).status_code == (200 if shown else 403)


def test_the_api_works_by_the_cookie_with_the_proof_and_not_without(desk: Desk) -> None:
    client = desk.client
    sign_in(client)
    proof = proof_on(client.get("/account"))
    assert client.get("/api/v1/instances").status_code == 200
    body = {"name": "Acme", "id": "acme"}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}):
        problem(client.post("/api/v1/instances", json=body, headers=headers), 403, "csrf")
    made = client.post("/api/v1/instances", json=body, headers={"X-CSRF-Token": proof})
    assert made.status_code == 201
    problem(client.post("/api/v1/instances/acme/tasks", json=GIVEN), 403, "csrf")
    problem(client.delete("/api/v1/tokens/00000000-0000-4000-8000-000000000000"), 403, "csrf")


def test_a_token_needs_no_proof_and_wins_over_the_cookie(desk: Desk) -> None:
    given = desk.post("/auth/login", {"name": "ann", "password": PASSWORD}).get_json()
    sign_in(desk.client)
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    assert desk.post("/instances", {"name": "Acme", "id": "acme"}, headers=headers).status_code == 201
    wrong = {"Authorization": "Bearer nonsense"}
    problem(desk.get("/instances", headers=wrong), 401, "unauthenticated")


def test_the_secret_in_the_cookie_is_no_bearer_token(desk: Desk) -> None:
    sign_in(desk.client)
    secret = cookie(desk.client)
    other = desk.app.test_client()
    answer = other.get("/api/v1/instances", headers={"Authorization": f"Bearer {secret}"})
    problem(answer, 401, "unauthenticated")


def test_the_cookie_counts_on_our_own_pages_only(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(cors_origins="https://pages.example")
    sign_in(desk.client)
    assert desk.get("/instances", headers={"Origin": "http://localhost"}).status_code == 200
    answer = desk.get("/instances", headers={"Origin": "https://pages.example"})
    problem(answer, 401, "unauthenticated")
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_the_cookie_is_hidden_from_scripts_and_kept_to_tls_where_there_is_tls(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(trusted_proxies="127.0.0.1")
    (plain,) = [told for told in sign_in(desk.client).headers.getlist("Set-Cookie") if "session=sws" in told]
    assert plain.startswith("swallowtail_session=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(plain.split("; "))
    assert "Secure" not in plain
    safe = sign_in(desk.app.test_client(), **TLS).headers.getlist("Set-Cookie")
    (kept,) = [told for told in safe if "session=sws" in told]
    assert kept.startswith("__Host-swallowtail_session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(kept.split("; "))
    assert "Domain" not in kept


def test_signing_in_begins_another_session_and_ends_the_one_before(desk: Desk) -> None:
    client = desk.client
    client.set_cookie("swallowtail_session", "sws_planted_by_somebody")
    sign_in(client)
    first = cookie(client)
    client.get("/logout")
    # The form is there for whoever is signed in already too, when it was opened before.
    other = desk.app.test_client()
    page = other.get("/login")
    other.set_cookie("swallowtail_session", str(first))
    form = {"name": "ann", "password": PASSWORD, "csrf": proof_on(page)}
    assert other.post("/login", data=form).status_code == 303
    assert cookie(other) not in (None, first)
    assert client.get("/", headers=HTML).status_code == 303


def test_a_foreign_page_can_sign_nobody_in(desk: Desk) -> None:
    form = {"name": "ann", "password": PASSWORD}
    assert desk.client.post("/login", data=form).status_code == 403
    assert desk.client.post("/login", data={**form, "csrf": "0" * 64}).status_code == 403
    seen = proof_on(desk.app.test_client().get("/login"))
    desk.client.get("/login")
    assert desk.client.post("/login", data={**form, "csrf": seen}).status_code == 403
    assert cookie(desk.client) is None


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_a_wrong_name_and_a_wrong_password_look_the_same(desk: Desk, name: str, password: str) -> None:
    answer = sign_in(desk.client, name=name, password=password)
    assert answer.status_code == 401
    assert "The name or the password is wrong." in answer.text
    assert cookie(desk.client) is None


def test_too_many_tries_are_told_to_wait(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(login_limit="2/minute", limits="on")
    statuses = [sign_in(desk.client, password="wrong").status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert int(sign_in(desk.client).headers["Retry-After"]) > 0


def test_a_session_that_nobody_uses_ends_and_one_that_is_used_ends_too(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(session_idle_hours=1, session_hours=3)
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        sign_in(desk.client)
        for minutes in (50, 100, 150):
            clock.move_to(start + timedelta(minutes=minutes))
            assert desk.client.get("/").status_code == 200, minutes
        clock.move_to(start + timedelta(minutes=181))
        assert desk.client.get("/").status_code == 401
        sign_in(desk.client)
        proof = {"X-CSRF-Token": proof_on(desk.client.get("/account"))}
        again = now()
        clock.move_to(again + timedelta(minutes=59))
        assert desk.client.post("/session/token", headers=proof).status_code == 200
        clock.move_to(again + timedelta(minutes=61))
        # A page that is left open asks by itself; nobody is there.
        assert desk.client.post("/session/token", headers=proof).status_code == 401


def test_a_page_gets_a_token_for_its_socket_by_the_cookie_alone(desk: Desk) -> None:
    sign_in(desk.client)
    proof = proof_on(desk.client.get("/account"))
    problem(desk.client.post("/session/token"), 403, "csrf")
    given = desk.client.post("/session/token", headers={"X-CSRF-Token": proof}).get_json()
    who = desk.app.test_client().get("/api/v1/auth/whoami", headers={"Authorization": f"Bearer {given['token']}"})
    assert who.get_json()["name"] == "ann"
    desk.client.post("/logout", data={"csrf": proof})
    ended = desk.app.test_client().get("/api/v1/auth/whoami", headers={"Authorization": f"Bearer {given['token']}"})
    problem(ended, 401, "unauthenticated")


PATHS = {
    "/": "/",
    "/instances/a?status=FAILED&x=1": "/instances/a?status=FAILED&x=1",
    None: "/",
    "": "/",
    "//evil.example": "/",
    "/\\evil.example": "/",
    "/a\\b": "/",
    "https://evil.example/": "/",
    "javascript:alert(1)": "/",
    "/a\nLocation: x": "/",
    "/\t/evil.example": "/",
    "evil.example": "/",
    "/" + "a" * 2000: "/",
}


@pytest.mark.parametrize(("asked", "followed"), PATHS.items())
def test_only_a_path_of_this_server_is_gone_to(asked: str | None, followed: str) -> None:
    with Flask(__name__).test_request_context():
        assert find_own_path(asked) == followed


def test_pages_send_to_the_form_and_the_api_answers_401(desk: Desk) -> None:
    gone = desk.client.get("/instances/a?status=FAILED", headers=HTML)
    assert (gone.status_code, gone.location) == (303, "/login?next=/instances/a?status%3DFAILED")
    problem(desk.client.get("/api/v1/instances", headers=HTML), 401, "unauthenticated")
    assert desk.client.get("/").status_code == 401
    assert desk.client.get("/", headers={**HTML, "Authorization": "Bearer x"}).status_code == 401


def test_nobody_signs_in_where_nobody_has_to(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(auth="open")
    assert desk.client.get("/login?next=/agents").location == "/agents"
    assert "Sign out" not in desk.client.get("/").text
    assert desk.client.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("role", "shown"), [(Role.VIEWER, False), (Role.OPERATOR, True), (Role.ADMIN, True), (Role.OWNER, True)]
)
def test_menus_show_what_the_role_allows(desk: Desk, role: Role, shown: bool) -> None:
    actions.create_instance(desk.rt, "Acme", "acme")
    with desk.rt.db.write() as session:
        ann = session.query(User).filter_by(name="ann").one()
        session.add(Membership(instance_id="acme", user_id=ann.id, role=role.value, created_at=now()))
    sign_in(desk.client)
    page = desk.client.get("/instances/acme").text
    assert ("New task" in page) is shown
    assert ("Submit one" in page) is shown
    schedules = desk.client.get("/instances/acme/schedules").text
    assert ('id="add-panel" hidden' not in schedules) is shown


def test_the_account_page_lists_ones_own_tokens(desk: Desk) -> None:
    sign_in(desk.client)
    proof = {"X-CSRF-Token": proof_on(desk.client.get("/account"))}
    minted = desk.client.post("/api/v1/tokens", json={"name": "<b>ci</b>"}, headers=proof).get_json()
    page = desk.client.get("/account").text
    assert "&lt;b&gt;ci&lt;/b&gt;" in page
    assert minted["secret"] not in page
