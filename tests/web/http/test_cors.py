"""Pages of our own origin and of listed origins may use the server, on every transport."""

from __future__ import annotations

import pytest

from tests.web.app_fixture import SUBMISSION, Open, WebApp, expect_problem

POLLING = "/socket.io/?EIO=4&transport=polling"
FOREIGN = ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.evil.example"]
FOREIGN += [
    "http://localhost@evil.example",
    "http://evil.example:5173",
    "http://192.168.0.1:5173",
    "http://localhost:x",
]
FOREIGN += [
    "file://localhost",
    "http://[::1].evil.example",
    "http://evil.example/localhost",
    "app://localhost",
    "localhost",
]
HERE = ["http://localhost:5173", "https://localhost", "http://127.0.0.1:3000", "http://[::1]:8080", "http://127.9.9.9"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_can_change_nothing(web_app: WebApp, origin: str) -> None:
    task_id = web_app.submit()["task"]["id"]
    # A form of any site can send this request without a preflight.
    answer = web_app.post(f"/tasks/{task_id}/cancel", headers={"Origin": origin, "Content-Type": "text/plain"})
    expect_problem(answer, 403, "foreign_origin")
    assert web_app.get(f"/tasks/{task_id}").get_json()["status"] == "SUBMITTED"
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_gets_no_session_of_long_polling(web_app: WebApp, origin: str) -> None:
    for method in (web_app.client.get, web_app.client.post):
        answer = method(POLLING, headers={"Origin": origin})
        expect_problem(answer, 403, "foreign_origin")


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_is_not_accepted_for_a_header_that_some_libraries_trust(open_web_app: Open, origin: str) -> None:
    headers = {"Origin": origin, "X-Forwarded-Host": origin.rpartition("/")[2], "X-Forwarded-Proto": "https"}
    expect_problem(open_web_app(auth="required").client.get(POLLING, headers=headers), 403, "foreign_origin")


def test_programs_without_an_origin_and_our_own_pages_are_accepted(web_app: WebApp) -> None:
    for headers in ({}, {"Origin": "http://localhost"}):
        assert web_app.post("/instances/acme/tasks", SUBMISSION, headers=headers).status_code == 201
        answer = web_app.client.get(POLLING, headers=headers)
        assert (answer.status_code, answer.text[0]) == (200, "0")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", HERE)
def test_pages_of_this_machine_may_do_everything_on_an_open_server(web_app: WebApp, origin: str) -> None:
    polled = web_app.client.get(POLLING, headers={"Origin": origin})
    submitted = web_app.post("/instances/acme/tasks", SUBMISSION, headers={"Origin": origin})
    read = web_app.get("/instances", headers={"Origin": origin})
    preflight = web_app.client.options("/api/v1/instances/acme/tasks", headers={"Origin": origin})
    assert [answer.status_code for answer in (polled, submitted, read, preflight)] == [200, 201, 200, 200]
    for answer in (polled, submitted, read, preflight):
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
    # A host name that points to this machine is not one of its own, for a page of any origin.
    headers = {"Origin": origin, "Host": "evil.example"}
    expect_problem(web_app.client.get(POLLING, headers=headers), 421, "unknown_host")


@pytest.mark.parametrize("origin", HERE)
def test_pages_of_this_machine_have_to_be_listed_where_sign_in_is_required(open_web_app: Open, origin: str) -> None:
    web_app = open_web_app(auth="required")
    expect_problem(web_app.client.get(POLLING, headers={"Origin": origin}), 403, "foreign_origin")
    assert "Access-Control-Allow-Origin" not in web_app.get("/instances", headers={"Origin": origin}).headers


def test_listed_origins_and_our_own_may_poll(open_web_app: Open) -> None:
    web_app = open_web_app(cors_origins="https://app.example")
    for origin in ("https://app.example", "http://localhost"):
        answer = web_app.client.get(POLLING, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
    expect_problem(web_app.client.get(POLLING, headers={"Origin": "https://evil.example"}), 403, "foreign_origin")


def test_a_star_lists_every_origin_for_both(open_web_app: Open) -> None:
    web_app = open_web_app(cors_origins="*", auth="open")
    web_app.create_instance("acme")
    for answer in (
        web_app.client.get(POLLING, headers={"Origin": "https://any.example"}),
        web_app.post("/instances/acme/tasks", SUBMISSION, headers={"Origin": "https://any.example"}),
    ):
        assert answer.status_code in (200, 201)
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://any.example")
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_our_own_origin_has_the_scheme_that_a_trusted_proxy_reports(open_web_app: Open) -> None:
    headers = {"Origin": "https://app.example", "Host": "app.example", "X-Forwarded-Proto": "https"}
    behind = open_web_app(allowed_hosts="app.example", trusted_proxies="127.0.0.1")
    assert behind.client.get(POLLING, headers=headers).status_code == 200
    alone = open_web_app(allowed_hosts="app.example")
    expect_problem(alone.client.get(POLLING, headers=headers), 403, "foreign_origin")
