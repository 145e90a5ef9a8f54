"""Every changing route × every kind of caller, with invalid requests: a refusal for lack of permission comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from swallowtail.app.core.tables.audit import AuditEntry
from tests.harness.waiting import wait_until
from tests.web.access_table import CALLERS, PEOPLE, SCHEDULE, TABLE, Row
from tests.web.callers import CallersApp, open_callers_app

Json = dict[str, Any]
#: Not an id of any kind.
MALFORMED = "no%20id"


@dataclass(frozen=True, slots=True)
class Invalid:
    """Bodies that have the right form and are refused all the same, or another query; `answers` as in a row."""

    bodies: tuple[Json, ...] = ()
    query: str = ""
    answers: str | None = None


INVALID = {
    "POST /api/v1/auth/password": Invalid(({"password": "x", "new_password": ""},), answers=PEOPLE),
    "POST /api/v1/users": Invalid(
        (
            {"name": "", "password": "staple after staple"},
            {"name": "bob", "password": ""},
            {"name": "bob"},
            {"name": "bob", "issuer": "https://id.example"},
        )
    ),
    "POST /api/v1/users/<user_name>/password": Invalid(({"password": ""},)),
    "POST /api/v1/tokens": Invalid(({"name": ""}, {"name": "ci", "acts": ["x"]}, {"name": "ci", "lifetime": -1.0})),
    "POST /api/v1/instances": Invalid(({"name": ""}, {"name": "New", "id": "no id"})),
    "POST /api/v1/instances/<instance_id>/tasks": Invalid(
        (
            {"kind": "brief", "input": {}},
            {"kind": "no such kind", "input": {"text": "Hi"}},
            {"kind": "brief", "input": {"text": "Hi", "more": "x" * 9000}},
            {"kind": "brief", "input": {"text": "Hi"}, "expires_in": -1.0},
        )
    ),
    "POST /api/v1/tasks/<task_id>/retry": Invalid(({"from_step": ""}, {"from_step": "no such step"})),
    "PUT /api/v1/instances/<instance_id>/members/<user_name>": Invalid(({"role": "king"},)),
    "POST /api/v1/instances/<instance_id>/front-end-tokens": Invalid(
        (
            {"name": ""},
            {"name": "page", "acts": ["x"]},
            {"name": "page", "task_id": "x"},
            {"name": "p", "fields": ["x"]},
        )
    ),
    "POST /api/v1/instances/<instance_id>/schedules": Invalid(
        ({**SCHEDULE, "name": ""}, {**SCHEDULE, "name": "x", "interval_seconds": 0.0}, {"name": "x", "kind": "brief"})
    ),
    "PUT /api/v1/instances/<instance_id>/policy": Invalid(({"event_days": -1.0}, {"secret_fields": [""]})),
    "DELETE /api/v1/instances/<instance_id>": Invalid(query="?confirm=other"),
}
#: Changing routes whose callers are anonymous, or sign in by cookie.
SIGN_IN = {
    "POST /login",
    "POST /logout",
    "POST /session/token",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
}  # fmt: skip
CHANGING = [route for route in TABLE if not route.startswith("GET ") and route not in SIGN_IN]


@pytest.fixture(scope="module")
def callers_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallersApp]:
    """An application that writes an audit entry for every kind of denied request."""
    with open_callers_app(Path(tmp_path_factory.mktemp("callers")), max_refusals=10_000) as callers_app:
        yield callers_app


def with_permission(row: Row, answers: str | None = None) -> dict[str, int]:
    """Return the expected refusal of each caller, 422 for those with the permission."""
    statuses = [int(status) for status in (answers or row.answers).split()]
    return {who: 422 if status == 200 else status for who, status in zip(CALLERS, statuses, strict=True)}


def ask(callers_app: CallersApp, route: str, path: Callable[[], str], **options: Any) -> dict[str, int]:
    method, statuses = route.partition(" ")[0], {}
    for who in CALLERS:
        callers_app.caller = callers_app.actors[who]
        statuses[who] = callers_app.web_app.client.open(path(), method=method, **options).status_code
    return statuses


def test_every_route_with_a_body_or_a_query_has_invalid_ones(callers_app: CallersApp) -> None:
    app = callers_app.web_app.app
    views = {
        f"{method} {rule.rule}": app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    with_input = {route for route in CHANGING if {"body", "args"} & set(getattr(views[route], "_spec", {}))}
    assert with_input == set(INVALID)


@pytest.mark.parametrize("route", INVALID)
def test_an_invalid_request_is_refused_for_lack_of_permission_first(callers_app: CallersApp, route: str) -> None:
    row, invalid = TABLE[route], INVALID[route]
    expected = with_permission(row, invalid.answers)
    path = lambda: row.path(callers_app) + invalid.query  # noqa: E731
    for body in invalid.bodies or (None,):
        assert ask(callers_app, route, path, json=body) == expected, body
    no_form = {"query_string": {"no_such_field": 1}} if invalid.query else {"json": {"no_such_field": 1}}
    assert ask(callers_app, route, lambda: row.path(callers_app), **no_form) == expected
    if not invalid.query:
        broken = {who: 400 if status == 422 else status for who, status in expected.items()}
        options = {"data": b"{", "content_type": "application/json"}
        assert ask(callers_app, route, path, **options) == broken
        other = {who: 415 if status == 422 else status for who, status in expected.items()}
        assert ask(callers_app, route, path, data=b"x", content_type="text/plain") == other


@pytest.mark.parametrize("route", [route for route in CHANGING if "_id>" in route])
def test_a_malformed_id_is_no_error_of_an_anonymous_caller(callers_app: CallersApp, route: str) -> None:
    rule = route.partition(" ")[2]
    for name in ("instance_id", "task_id", "schedule_id", "token_id"):
        rule = rule.replace(f"<{name}>", MALFORMED)
    statuses = ask(callers_app, route, lambda: rule.replace("<user_name>", "viewer"), json=TABLE[route].body)
    assert (statuses["nobody"], statuses["expired"]) == (401, 401)
    assert statuses["owner"] == 422


@pytest.mark.parametrize("route", CHANGING)
def test_an_invalid_request_that_is_denied_is_audited(callers_app: CallersApp, route: str) -> None:
    row, invalid = TABLE[route], INVALID.get(route, Invalid())
    statuses = with_permission(row, invalid.answers)
    path = lambda: row.path(callers_app) + invalid.query  # noqa: E731
    ask(callers_app, route, path, json=invalid.bodies[0] if invalid.bodies else row.body)
    is_hidden = any(f"<{name}>" in route for name in ("instance_id", "task_id", "schedule_id"))
    denied = {who for who, status in statuses.items() if status == 403 or (status == 404 and is_hidden)}
    ids = {callers_app.actors[who].id for who in denied}
    wait_until(lambda: find_denied(callers_app, route) >= ids, "each denial is audited")
    assert find_denied(callers_app, route) == ids


def find_denied(callers_app: CallersApp, route: str) -> set[str]:
    """Return the ids of the actors with an entry about this route."""
    with callers_app.rt.db.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "denied"))
        return {entry.actor_id for entry in entries if entry.detail["act"] == route}
