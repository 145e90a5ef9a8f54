"""Sign-in to the pages: the session cookie, the end of a session, and menus by role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from swallowtail.app.core.events import now
from swallowtail.app.core.identity import users
from swallowtail.app.core.security.roles import Role
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.auth import Membership, User
from swallowtail.app.web.pages.login import find_own_path
from tests.harness.closed_objects import closing_all
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.app_fixture import SUBMISSION, WebApp, expect_problem
from tests.web.browser_client import csrf_token_of, sign_in

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TLS: dict[str, Any] = {"base_url": "https://localhost", "headers": {"X-Forwarded-Proto": "https"}}


@pytest.fixture
def open_web_app(tmp_path: Path) -> Iterator[Callable[..., WebApp]]:
    def make(**values: Any) -> WebApp:
        options = {"var_dir": tmp_path, "async_mode": "threading", "auth": "required", "secret_key": KEY, **CHEAP}
        web_app = WebApp(make_settings(**{**options, **values}))
        users.create_user(web_app.rt, "ann", PASSWORD)
        return web_app

    yield from closing_all(make)


@pytest.fixture
def web_app(open_web_app: Callable[..., WebApp]) -> WebApp:
    return open_web_app()


def cookie(client: FlaskClient) -> str | None:
    cookie = client.get_cookie("swallowtail_session")
    return None if cookie is None else cookie.value


def test_a_user_signs_in_and_out(web_app: WebApp) -> None:
    client = web_app.client
    assert client.get("/", headers=HTML).location == "/login?next=/"
    response = sign_in(client, following="/agents")
    assert (response.status_code, response.location) == (303, "/agents")
    page = client.get("/", headers=HTML)
    assert page.status_code == 200
    assert "Sign out" in page.text
    secret = cookie(client)
    left = client.post("/logout", data={"csrf": csrf_token_of(page)})
    assert (left.status_code, left.location) == (303, "/login")
    assert cookie(client) is None
    client.set_cookie("swallowtail_session", str(secret))
    assert client.get("/", headers=HTML).status_code == 303, "the session itself has ended"


def test_superusers_find_the_audit_log_of_the_server(web_app: WebApp) -> None:
    users.create_user(web_app.rt, "boss", PASSWORD, is_superuser=True)
    for name, shown in (("ann", False), ("boss", True)):
        client = web_app.app.test_client()
        sign_in(client, name=name)
        assert ('href="/audit"' in client.get("/", headers=HTML).text) == shown
        assert client.get("/audit", headers=HTML).status_code == (200 if shown else 403)


def test_the_api_accepts_the_cookie_with_the_csrf_token_only(web_app: WebApp) -> None:
    client = web_app.client
    sign_in(client)
    proof = csrf_token_of(client.get("/account"))
    assert client.get("/api/v1/instances").status_code == 200
    body = {"name": "Acme", "id": "acme"}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}):
        expect_problem(client.post("/api/v1/instances", json=body, headers=headers), 403, "csrf")
    response = client.post("/api/v1/instances", json=body, headers={"X-CSRF-Token": proof})
    assert response.status_code == 201
    expect_problem(client.post("/api/v1/instances/acme/tasks", json=SUBMISSION), 403, "csrf")
    expect_problem(client.delete("/api/v1/tokens/00000000-0000-4000-8000-000000000000"), 403, "csrf")


def test_a_token_needs_no_csrf_token_and_wins_over_the_cookie(web_app: WebApp) -> None:
    options = web_app.post("/auth/login", {"name": "ann", "password": PASSWORD}).get_json()
    sign_in(web_app.client)
    headers = {"Authorization": f"Bearer {options['access_token']}"}
    assert web_app.post("/instances", {"name": "Acme", "id": "acme"}, headers=headers).status_code == 201
    wrong = {"Authorization": "Bearer nonsense"}
    expect_problem(web_app.get("/instances", headers=wrong), 401, "unauthenticated")


def test_the_secret_in_the_cookie_is_not_accepted_as_bearer_token(web_app: WebApp) -> None:
    sign_in(web_app.client)
    secret = cookie(web_app.client)
    other = web_app.app.test_client()
    response = other.get("/api/v1/instances", headers={"Authorization": f"Bearer {secret}"})
    expect_problem(response, 401, "unauthenticated")


def test_the_cookie_counts_on_our_own_pages_only(open_web_app: Callable[..., WebApp]) -> None:
    web_app = open_web_app(cors_origins="https://pages.example")
    sign_in(web_app.client)
    assert web_app.get("/instances", headers={"Origin": "http://localhost"}).status_code == 200
    response = web_app.get("/instances", headers={"Origin": "https://pages.example"})
    expect_problem(response, 401, "unauthenticated")
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_the_cookie_is_hidden_from_scripts_and_kept_to_tls_where_there_is_tls(
    open_web_app: Callable[..., WebApp],
) -> None:
    web_app = open_web_app(trusted_proxies="127.0.0.1")
    (plain,) = [body for body in sign_in(web_app.client).headers.getlist("Set-Cookie") if "session=sws" in body]
    assert plain.startswith("swallowtail_session=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(plain.split("; "))
    assert "Secure" not in plain
    safe = sign_in(web_app.app.test_client(), **TLS).headers.getlist("Set-Cookie")
    (session_body,) = [body for body in safe if "session=sws" in body]
    assert session_body.startswith("__Host-swallowtail_session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(session_body.split("; "))
    assert "Domain" not in session_body


def test_signing_in_begins_another_session_and_ends_the_one_before(web_app: WebApp) -> None:
    client = web_app.client
    client.set_cookie("swallowtail_session", "sws_planted_by_somebody")
    sign_in(client)
    first = cookie(client)
    client.get("/logout")
    # A form that was opened before the sign-in still works.
    other = web_app.app.test_client()
    page = other.get("/login")
    other.set_cookie("swallowtail_session", str(first))
    form = {"name": "ann", "password": PASSWORD, "csrf": csrf_token_of(page)}
    assert other.post("/login", data=form).status_code == 303
    assert cookie(other) not in (None, first)
    assert client.get("/", headers=HTML).status_code == 303


def test_a_foreign_page_cannot_sign_a_user_in(web_app: WebApp) -> None:
    form = {"name": "ann", "password": PASSWORD}
    assert web_app.client.post("/login", data=form).status_code == 403
    assert web_app.client.post("/login", data={**form, "csrf": "0" * 64}).status_code == 403
    seen = csrf_token_of(web_app.app.test_client().get("/login"))
    web_app.client.get("/login")
    assert web_app.client.post("/login", data={**form, "csrf": seen}).status_code == 403
    assert cookie(web_app.client) is None


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_a_wrong_name_and_a_wrong_password_look_the_same(web_app: WebApp, name: str, password: str) -> None:
    response = sign_in(web_app.client, name=name, password=password)
    assert response.status_code == 401
    assert "The name or the password is wrong." in response.text
    assert cookie(web_app.client) is None


def test_too_many_attempts_have_to_wait(open_web_app: Callable[..., WebApp]) -> None:
    web_app = open_web_app(login_limit="2/minute", limits="on")
    statuses = [sign_in(web_app.client, password="wrong").status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert int(sign_in(web_app.client).headers["Retry-After"]) > 0


def test_an_unused_session_ends_and_a_used_one_ends_too(open_web_app: Callable[..., WebApp]) -> None:
    web_app = open_web_app(session_idle_hours=1, session_hours=3)
    start = now()
    with time_machine.travel(start, tick=False) as clock:
        sign_in(web_app.client)
        for minutes in (50, 100, 150):
            clock.move_to(start + timedelta(minutes=minutes))
            assert web_app.client.get("/").status_code == 200, minutes
            web_app.rt.store_token_uses()
        clock.move_to(start + timedelta(minutes=181))
        assert web_app.client.get("/").status_code == 401
        sign_in(web_app.client)
        proof = {"X-CSRF-Token": csrf_token_of(web_app.client.get("/account"))}
        again = now()
        clock.move_to(again + timedelta(minutes=59))
        assert web_app.client.post("/session/token", headers=proof).status_code == 200
        clock.move_to(again + timedelta(minutes=61))
        # An open page sends requests without a user.
        assert web_app.client.post("/session/token", headers=proof).status_code == 401


def test_a_page_gets_a_token_for_its_socket_by_the_cookie_alone(web_app: WebApp) -> None:
    sign_in(web_app.client)
    proof = csrf_token_of(web_app.client.get("/account"))
    expect_problem(web_app.client.post("/session/token"), 403, "csrf")
    options = web_app.client.post("/session/token", headers={"X-CSRF-Token": proof}).get_json()
    who = web_app.app.test_client().get("/api/v1/auth/whoami", headers={"Authorization": f"Bearer {options['token']}"})
    assert who.get_json()["name"] == "ann"
    web_app.client.post("/logout", data={"csrf": proof})
    ended = web_app.app.test_client().get(
        "/api/v1/auth/whoami", headers={"Authorization": f"Bearer {options['token']}"}
    )
    expect_problem(ended, 401, "unauthenticated")


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
def test_only_a_path_of_this_server_is_redirected_to(asked: str | None, followed: str) -> None:
    with Flask(__name__).test_request_context():
        assert find_own_path(asked) == followed


def test_pages_send_to_the_form_and_the_api_answers_401(web_app: WebApp) -> None:
    page = web_app.client.get("/instances/a?status=FAILED", headers=HTML)
    assert (page.status_code, page.location) == (303, "/login?next=/instances/a?status%3DFAILED")
    expect_problem(web_app.client.get("/api/v1/instances", headers=HTML), 401, "unauthenticated")
    assert web_app.client.get("/").status_code == 401
    assert web_app.client.get("/", headers={**HTML, "Authorization": "Bearer x"}).status_code == 401


def test_without_required_authentication_there_is_no_sign_in(open_web_app: Callable[..., WebApp]) -> None:
    web_app = open_web_app(auth="open")
    assert web_app.client.get("/login?next=/agents").location == "/agents"
    assert "Sign out" not in web_app.client.get("/").text
    assert web_app.client.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("role", "shown"), [(Role.VIEWER, False), (Role.OPERATOR, True), (Role.ADMIN, True), (Role.OWNER, True)]
)
def test_menus_show_what_the_role_allows(web_app: WebApp, role: Role, shown: bool) -> None:
    create_instance(web_app.rt, "Acme", "acme")
    with web_app.rt.db.write() as session:
        ann = session.query(User).filter_by(name="ann").one()
        session.add(Membership(instance_id="acme", user_id=ann.id, role=role.value, created_at=now()))
    sign_in(web_app.client)
    page = web_app.client.get("/instances/acme").text
    assert ("New task" in page) is shown
    assert ("Submit a task" in page) is shown
    schedules = web_app.client.get("/instances/acme/schedules").text
    assert ('id="add-panel" hidden' not in schedules) is shown


def test_the_account_page_lists_the_users_tokens(web_app: WebApp) -> None:
    sign_in(web_app.client)
    proof = {"X-CSRF-Token": csrf_token_of(web_app.client.get("/account"))}
    created = web_app.client.post("/api/v1/tokens", json={"name": "<b>ci</b>"}, headers=proof).get_json()
    page = web_app.client.get("/account").text
    assert r"\u003cb\u003eci\u003c/b\u003e" in page
    assert "<b>ci" not in page
    assert created["secret"] not in page
