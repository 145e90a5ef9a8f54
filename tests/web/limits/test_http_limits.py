"""Requests above a limit get a 429 response that says when to try again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from swallowtail.app.web.request.rate_limit_hooks import limit_session_opens
from tests.harness.settings import make_settings
from tests.web.app_fixture import WebApp, expect_json, expect_problem
from tests.web.limits.limited_process import clock as clock
from tests.web.limits.limited_process import make_limits
from tests.web.limits.test_token_bucket import Clock


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[WebApp]:
    web_app = WebApp(
        make_settings(
            var_dir=tmp_path,
            async_mode="threading",
            limits="on",
            address_read_limit="3/hour",
            address_write_limit="2/hour",
        )
    )
    yield web_app
    web_app.close()


def test_rest_responds_with_a_problem_that_says_when_to_try_again(narrow: WebApp) -> None:
    narrow.create_instance("acme")
    for _ in range(3):
        expect_json(narrow.get("/instances"))
    answer = narrow.get("/instances")
    body = expect_problem(answer, 429, "rate_limited")
    assert 0 < body["retry_after_ms"] <= 1200_000
    assert int(answer.headers["Retry-After"]) == -(-body["retry_after_ms"] // 1000)
    narrow.submit()
    expect_problem(narrow.post("/instances/acme/tasks", {"kind": "brief"}), 429, "rate_limited")


def test_health_checks_and_static_files_are_not_counted(narrow: WebApp) -> None:
    for _ in range(5):
        assert narrow.fetch("/healthz").status_code == 200
        assert narrow.fetch("/static/css/app.css").status_code == 200


def test_pages_are_limited_too(narrow: WebApp) -> None:
    for _ in range(3):
        assert narrow.fetch("/").status_code == 200
    answer = narrow.fetch("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (429, "text/html")


@pytest.mark.parametrize(
    "query", ["EIO=4&transport=polling", "EIO=4&transport=websocket", "transport=polling&xsid=1&sid="]
)
def test_a_connection_above_the_limit_on_the_stock_path_is_refused(tmp_path: Path, clock: Clock, query: str) -> None:
    def serve(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"served"]

    limits = make_limits(tmp_path, clock, auth="required", connect_limit="1/hour")
    client = Client(limit_session_opens(serve, limits))
    assert client.get(f"/socket.io/?{query}").text == "served"
    again = client.get(f"/socket.io/?{query}")
    assert (again.status_code, again.headers["Retry-After"]) == (429, "3600")
    assert client.get("/socket.io/?EIO=4&transport=polling&sid=abc").text == "served"
    assert client.get("/elsewhere").text == "served"
