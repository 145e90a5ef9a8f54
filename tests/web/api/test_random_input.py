"""Random requests never cause a server error, and every error is a problem."""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.harness.settings import make_settings
from tests.web.app_fixture import SUBMISSION, WebApp

TASKS = "/api/v1/instances/acme/tasks"
JSON = "application/json"


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebApp]:
    """One application for all examples."""
    web_app = WebApp(make_settings(var_dir=tmp_path_factory.mktemp("var"), async_mode="threading"))
    web_app.create_instance("acme")
    yield web_app
    web_app.close()


JSONISH: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "name",
        "id",
        "kind",
        "input",
        "title",
        "expires_in",
        "from_step",
        "cron",
        "timezone",
        "interval_seconds",
        "run_at",
    ]
)
BODIES = st.dictionaries(FIELDS | st.text(max_size=5), JSONISH | st.just("brief") | st.just({"text": "a"}), max_size=6)
QUERIES = st.dictionaries(
    st.sampled_from(["limit", "cursor", "since", "epoch", "status", "kind", "task_id", "x"]), st.text(max_size=20)
)
PIECES = st.sampled_from(
    [
        "acme",
        "instances",
        "tasks",
        "agents",
        "schedules",
        "events",
        "slots",
        "cancel",
        "retry",
        "pause",
        "snapshot",
        "v1",
    ]
) | st.text(max_size=12)
METHODS = st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"])
WRITES = st.sampled_from(
    [
        "/api/v1/instances",
        "/api/v1/instances/acme/tasks",
        "/api/v1/instances/acme/schedules",
        "/api/v1/tasks/0b7a2c9e-53f4-4c0e-9d5e-2f1f6f0a6a11/retry",
        "/api/v1/tasks/0b7a2c9e-53f4-4c0e-9d5e-2f1f6f0a6a11/cancel",
        "/api/v1/schedules/0b7a2c9e-53f4-4c0e-9d5e-2f1f6f0a6a11/pause",
    ]
)
READS = st.sampled_from(
    [
        "/api/v1/instances",
        "/api/v1/instances/acme/tasks",
        "/api/v1/instances/acme/events",
        "/api/v1/schedules/0b7a2c9e-53f4-4c0e-9d5e-2f1f6f0a6a11/slots",
    ]
)
WITHOUT_DEADLINE = hypothesis_settings(
    deadline=None, max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def _check(response: Any) -> None:
    assert response.status_code < 500, response.text
    if response.status_code >= 400 and response.data:
        assert response.mimetype == "application/problem+json"
        assert response.json["status"] == response.status_code


@WITHOUT_DEADLINE
@given(path=WRITES, body=BODIES)
def test_no_object_makes_it_fail(shared_app: WebApp, path: str, body: object) -> None:
    _check(shared_app.client.post(path, data=dumps(body), content_type=JSON))


@WITHOUT_DEADLINE
@given(path=WRITES, body=st.binary(max_size=200), content_type=st.sampled_from([JSON, "text/plain", ""]))
def test_no_bytes_make_it_fail(shared_app: WebApp, path: str, body: bytes, content_type: str) -> None:
    _check(shared_app.client.post(path, data=body, content_type=content_type))


@WITHOUT_DEADLINE
@given(path=READS, query=QUERIES)
def test_no_query_makes_it_fail(shared_app: WebApp, path: str, query: dict[str, str]) -> None:
    _check(shared_app.client.get(path, query_string={k: v.encode("utf-8", "replace") for k, v in query.items()}))


@WITHOUT_DEADLINE
@given(method=METHODS, pieces=st.lists(PIECES, max_size=6), accept=st.sampled_from(["", "*/*", "text/html", "a/b;q=x"]))
def test_no_address_makes_it_fail(shared_app: WebApp, method: str, pieces: list[str], accept: str) -> None:
    path = "/api/v1/" + "/".join(quote(piece.encode("utf-8", "replace")) for piece in pieces)
    _check(shared_app.client.open(path, method=method, headers={"Accept": accept}))


@WITHOUT_DEADLINE
@given(key=st.text(alphabet=st.characters(max_codepoint=255), max_size=300).filter(lambda k: not set(k) & set("\r\n")))
def test_no_key_makes_it_fail(shared_app: WebApp, key: str) -> None:
    _check(shared_app.client.post(TASKS, json=SUBMISSION, headers={"Idempotency-Key": key}))
