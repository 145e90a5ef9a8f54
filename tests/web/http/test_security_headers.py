"""Responses have security headers, CORS headers for listed origins only, and cache rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.settings import make_settings
from tests.web.app_fixture import SUBMISSION, WebApp

PATHS = ["/", "/api/v1/instances", "/api/v1/nothing", "/api/docs", "/api/openapi.json", "/healthz", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
def test_every_response_has_the_security_headers(web_app: WebApp, path: str) -> None:
    headers = web_app.client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "Strict-Transport-Security" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize(("seconds", "expected"), [(31_536_000, "max-age=31536000"), (60, "max-age=60"), (0, None)])
def test_responses_over_tls_have_hsts(tmp_path: Path, seconds: int, expected: str | None) -> None:
    more = {"trusted_proxies": "127.0.0.1", "hsts_seconds": seconds}
    web_app = WebApp(make_settings(var_dir=tmp_path, async_mode="threading", **more))
    for path in (*PATHS, "/static/api_docs.css", "/socket.io/?EIO=4"):
        safe = web_app.fetch(path, headers={"X-Forwarded-Proto": "https"})
        assert safe.headers.get("Strict-Transport-Security") == expected
        assert "Strict-Transport-Security" not in web_app.fetch(path).headers
    web_app.close()


def test_only_a_trusted_proxy_can_report_tls(web_app: WebApp) -> None:
    assert "Strict-Transport-Security" not in web_app.fetch("/", headers={"X-Forwarded-Proto": "https"}).headers


def test_debugging_is_off(web_app: WebApp) -> None:
    assert web_app.app.debug is False
    assert web_app.app.testing is False


def test_static_files_are_cached_under_a_url_with_their_hash(web_app: WebApp) -> None:
    with web_app.app.test_request_context():
        address = web_app.app.url_for("static", filename="api_docs.css")
    assert "?v=" in address
    answer = web_app.fetch(address)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    plain = web_app.fetch("/static/api_docs.css")
    assert plain.headers["Cache-Control"] == "no-cache"
    again = web_app.fetch("/static/api_docs.css", headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "no-cache"


def test_a_missing_static_file_has_a_plain_address(web_app: WebApp) -> None:
    with web_app.app.test_request_context():
        assert web_app.app.url_for("static", filename="nothing.js") == "/static/nothing.js"


@pytest.fixture
def open_web_app(tmp_path: Path) -> Iterator[WebApp]:
    origins = "https://app.example, https://other.example/"
    web_app = WebApp(make_settings(var_dir=tmp_path, async_mode="threading", cors_origins=origins, auth="open"))
    web_app.create_instance("acme")
    yield web_app
    web_app.close()


@pytest.mark.parametrize("origin", ["https://app.example", "https://other.example"])
def test_a_listed_origin_may_read_answers(open_web_app: WebApp, origin: str) -> None:
    answer = open_web_app.get("/instances", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_listed_origin_may_submit(open_web_app: WebApp) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, idempotency-key",
    }
    asking: Any = open_web_app.client.options("/api/v1/instances/acme/tasks", headers=asked)
    assert asking.status_code == 200
    assert asking.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "POST" in asking.headers["Access-Control-Allow-Methods"]
    assert {"content-type", "idempotency-key"} <= {
        name.strip().lower() for name in asking.headers["Access-Control-Allow-Headers"].split(",")
    }
    answer = open_web_app.post("/instances/acme/tasks", SUBMISSION, headers={"Origin": "https://app.example"})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (201, "https://app.example")


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil.example", "null", ""])
def test_no_other_origin_may_read_answers(open_web_app: WebApp, origin: str) -> None:
    answer = open_web_app.get("/instances", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers["Vary"]
