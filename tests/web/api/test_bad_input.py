"""Invalid requests are answered with a problem that names the error, and change nothing."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.logs.setup import configure_logging
from tests.web.app_fixture import WebApp, expect_json, expect_problem

TASKS = "/api/v1/instances/acme/tasks"
JSON = "application/json"


def _post(web_app: WebApp, body: bytes, content_type: str | None = JSON) -> Any:
    return web_app.client.post(TASKS, data=body, content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nothing",
        b"'single'",
        b'{"kind": NaN}',
        b'{"kind": Infinity}',
        b'{"kind": -Infinity}',
        b'{"kind": 01}',
        b'{"kind": 1e400}',
        b'{"kind": "a",}',
        b'{"kind": "brief"} {"kind": "brief"}',
        b'{"kind": "\xff"}',
        b'{"kind": "\\ud800"}',
        b'{"kind": "\x00"}',
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08",
        b"kind=brief",
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
)
def test_a_body_that_is_not_json_is_refused(web_app: WebApp, body: bytes) -> None:
    expect_problem(_post(web_app, body), 400, "invalid_json")


@pytest.mark.parametrize("depth", [33, 200, 1000])
def test_deep_nesting_is_refused_where_it_is_json(web_app: WebApp, depth: int) -> None:
    body = b'{"kind":"brief","input":' + b"[" * depth + b"]" * depth + b"}"
    expect_problem(_post(web_app, body), 422, "invalid_input", "input")


def test_a_key_that_is_there_twice_counts_with_its_last_value(web_app: WebApp) -> None:
    body = b'{"kind":"nobody","kind":"brief","input":{"text":"a","text":"b"}}'
    assert expect_json(_post(web_app, body), 201)["task"]["input"] == {"rounds": 3, "text": "b"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"kind":"brief","input":{"text":"a\\u0000"}}', "input.text"),
        (b'{"kind":"brief","input":{"a\\u0000b":1}}', "input (a key)"),
        (b'{"ki\\u0000nd":"brief"}', "body (a key)"),
        (b'{"kind":"brief\\u0085"}', "kind"),
    ],
)
def test_characters_that_no_store_takes_are_refused(web_app: WebApp, body: bytes, field: str) -> None:
    expect_problem(_post(web_app, body), 422, "invalid_input", field)
    assert expect_json(web_app.get("/instances/acme/tasks"))["items"] == []


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", None, "multipart/form-data"]
)
def test_a_body_that_is_not_sent_as_json_is_refused(web_app: WebApp, content_type: str | None) -> None:
    expect_problem(_post(web_app, b'{"kind":"brief"}', content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" + "0" * 100])
def test_an_integer_of_more_than_64_bits_is_refused_instead_of_rounded(web_app: WebApp, number: str) -> None:
    response = _post(web_app, b'{"kind": "brief", "input": {"n": [%s]}}' % number.encode())
    expect_problem(response, 422, "invalid_input", "input.n[0]")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.acme+json"])
def test_json_may_be_called_by_its_other_names(web_app: WebApp, content_type: str) -> None:
    assert _post(web_app, b'{"kind":"brief","input":{"text":"a"}}', content_type).status_code == 201


def test_an_oversized_body_is_refused_by_every_route(web_app: WebApp, settings: Settings) -> None:
    task_id = web_app.submit()["task"]["id"]
    body = b'{"kind":"' + b"a" * settings.max_body_bytes + b'"}'
    expect_problem(_post(web_app, body), 413, "too_large")
    for path in ("/api/v1/instances", f"/api/v1/tasks/{task_id}/cancel", f"/api/v1/tasks/{task_id}/retry"):
        expect_problem(web_app.client.post(path, data=body, content_type=JSON), 413, "too_large")
    assert expect_json(web_app.get(f"/tasks/{task_id}"))["status"] == "SUBMITTED"


def test_a_body_of_unknown_length_is_read_up_to_the_limit(web_app: WebApp, settings: Settings) -> None:
    def send(body: bytes, **environ: Any) -> Any:
        environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(body)}
        return web_app.client.post(TASKS, content_type=JSON, environ_overrides=environ)

    expect_problem(send(b'{"kind":"brief"}'), 411, "length_required")
    small, large = b'{"kind":"brief","input":{"text":"a"}}', b'"' + b"a" * settings.max_body_bytes
    assert send(small, **{"wsgi.input_terminated": True}).status_code == 201
    expect_problem(send(large, **{"wsgi.input_terminated": True}), 413, "too_large")


def test_a_long_key_above_a_long_list_is_refused_without_effort(web_app: WebApp) -> None:
    body = b'{"kind":"brief","input":{"text":"a","' + b"k" * 100_000 + b'":[' + b"0," * 70_000 + b"0]}}"
    reported = expect_problem(_post(web_app, body), 422, "invalid_input", "input." + "k" * 194)
    assert len(str(reported)) < 2000


def test_no_problem_repeats_a_large_input(web_app: WebApp) -> None:
    response = web_app.post("/instances/acme/tasks", {"kind": "brief", "input": {"text": ["a" * 100_000]}})
    assert len(response.data) < 2000
    assert len(web_app.post("/instances/acme/tasks", {"kind": "brief", **{f"f{n}": 1 for n in range(900)}}).data) < 5000
    assert len(web_app.post("/instances/acme/tasks", {"kind": "k" * 100_000}).data) < 2000
    assert len(web_app.get("/tasks/" + "a" * 50_000).data) < 2000


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/v1", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v2/instances", 404, "not_found"),
        ("GET", "/api/v1/instances/acme/nothing", 404, "not_found"),
        ("GET", "/static/nothing.js", 404, "not_found"),
        ("GET", "/static/../factory.py", 404, "not_found"),
        ("PUT", "/api/v1/instances", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/instances", 405, "method_not_allowed"),
        ("POST", "/api/v1/agents", 405, "method_not_allowed"),
        ("GET", "/api/v1/tasks/x/cancel", 405, "method_not_allowed"),
        ("BREW", "/api/v1/agents", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_a_missing_object_is_answered_with_a_problem(
    web_app: WebApp, method: str, path: str, status: int, code: str
) -> None:
    response = web_app.client.open(path, method=method, follow_redirects=True)
    expect_problem(response, status, code)
    if status == 405:
        assert response.headers["Allow"]


def test_people_get_a_page_instead(web_app: WebApp) -> None:
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    response = web_app.client.get("/nothing", headers=accept)
    assert (response.status_code, response.mimetype) == (404, "text/html")
    expect_problem(web_app.client.get("/api/v1/nothing", headers=accept), 404, "not_found")


def test_a_server_error_is_answered_with_an_id_that_is_in_the_log(
    web_app: WebApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    configure_logging(web_app.rt.settings, log)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("swallowtail.app.core.queries.rows.list_agents", fail)
    response = web_app.get("/agents")
    body = expect_problem(response, 500, "internal")
    assert re.fullmatch("[0-9a-f]{32}", body["error_id"])
    assert "secret" not in response.text
    assert body["error_id"] in log.getvalue()
    assert "the secret inside" in log.getvalue()


def test_an_absent_database_is_reported(web_app: WebApp, monkeypatch: pytest.MonkeyPatch) -> None:
    web_app.rt.db.wait = 0.0
    web_app.rt.db.dispose()
    monkeypatch.setattr(web_app.rt.db.engine, "connect", _refuse_connection)
    response = web_app.get("/agents")
    expect_problem(response, 503, "unavailable")
    assert response.headers["Retry-After"] == "1"


def _refuse_connection() -> None:
    from sqlalchemy.exc import OperationalError

    raise OperationalError("connect", {}, Exception("could not connect"))
