"""Every changing route × its audit entries; a route that is missing in the table fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from swallowtail.app.core.audit.reader import list_scopes, verify
from swallowtail.app.core.tables.audit import AuditEntry
from tests.web import access_table
from tests.web.audit_table import ELSEWHERE, NOTHING, TABLE
from tests.web.callers import CallersApp
from tests.web.permissions import test_socket_events_table

ROOT = Path(__file__).resolve().parents[3]
#: Socket.IO events; they only start or stop a subscription, which leaves no entry.
EVENTS_THAT_CHANGE_NOTHING = {
    "subscribe_instance", "unsubscribe_instance", "subscribe_task", "unsubscribe_task", "refresh_token",
}  # fmt: skip


def entries(callers_app: CallersApp) -> list[AuditEntry]:
    with callers_app.rt.db.read() as session:
        return list(session.scalars(select(AuditEntry).order_by(AuditEntry.scope, AuditEntry.number)))


def later(callers_app: CallersApp, before: list[AuditEntry]) -> list[AuditEntry]:
    known = {(entry.scope, entry.number) for entry in before}
    return [entry for entry in entries(callers_app) if (entry.scope, entry.number) not in known]


def test_every_changing_route_declares_its_audit_entries() -> None:
    changing = {route for route in access_table.TABLE if not route.startswith("GET ")}
    listed = set(TABLE) | set(NOTHING) | set(ELSEWHERE)
    assert changing <= listed
    assert listed - changing == {
        "GET /api/v1/instances/<instance_id>/export",
        "GET /login/provider/back",
    }
    assert len(listed) == len(TABLE) + len(NOTHING) + len(ELSEWHERE)
    for path in ELSEWHERE.values():
        assert "session.open" in (ROOT / path).read_text(encoding="utf-8")


def test_every_socket_event_declares_that_it_changes_nothing() -> None:
    assert set(test_socket_events_table.TABLE) == EVENTS_THAT_CHANGE_NOTHING


@pytest.mark.parametrize("route", TABLE)
def test_an_action_is_audited_with_actor_object_and_address(callers_app: CallersApp, route: str) -> None:
    left, row, method = TABLE[route], access_table.TABLE[route], route.partition(" ")[0]
    path = (left.path or row.path)(callers_app) if left.ask is None else ""
    before = entries(callers_app)
    if left.ask is not None:
        response, who = left.ask(callers_app)
    else:
        response, who = callers_app.request(left.who, method, path, left.body or row.body), left.who
    assert response.status_code == (left.done or (row.done if left.ask is None else 200)), response.text

    new_entries = later(callers_app, before)
    if left.ask is not None:
        # The preparation of the request leaves entries of other entry points.
        new_entries = [entry for entry in new_entries if entry.entrance == left.entrance]
    objects = [name_object(mark[2], response, path, who) for mark in left.entries]
    assert [describe(entry) for entry in new_entries] == [
        (left.scope, "user", who, action, kind, entry.object_id if which is None else which, left.entrance, "127.0.0.1")
        for (action, kind, _), which, entry in zip(left.entries, objects, new_entries, strict=False)
    ]
    assert len(new_entries) == len(left.entries)


def describe(entry: AuditEntry) -> tuple[str, ...]:
    who = (entry.actor_kind, entry.actor_id)
    return (entry.scope, *who, entry.action, entry.object_type, entry.object_id, entry.entrance, entry.address)


def name_object(mark: str, response: TestResponse, path: str, who: str) -> str | None:
    """Return the object id of an expected entry; None if only the log knows it."""
    if mark == "made":
        reply = response.get_json()
        return str(reply["id"] if "id" in reply else (reply.get("token") or reply["task"])["id"])
    if mark == "who":
        return who
    if mark.startswith("/"):
        return path.split("?")[0].split("/")[int(mark[1:])]
    return None if mark == "*" else mark


READS = [route for route in access_table.TABLE if route.startswith("GET ") and route not in TABLE | ELSEWHERE]


def test_reading_leaves_nothing(callers_app: CallersApp) -> None:
    for who in ("owner", "superuser"):
        paths = [(route, access_table.TABLE[route].path(callers_app)) for route in READS]
        before = entries(callers_app)
        for route, path in paths:
            if access_table.TABLE[route].expected()[who] < 400:
                callers_app.request(who, "GET", path)
        assert later(callers_app, before) == []


def test_a_repeated_action_is_not_audited(callers_app: CallersApp) -> None:
    task_id, schedule_id, user, token = (
        callers_app.new_task(),
        callers_app.new_schedule(),
        callers_app.new_member(),
        callers_app.new_token(),
    )
    first = [
        ("owner", "POST", f"/api/v1/tasks/{task_id}/cancel", None),
        ("owner", "POST", f"/api/v1/schedules/{schedule_id}/pause", None),
        ("owner", "PUT", f"/api/v1/instances/acme/members/{user}", {"role": "operator"}),
        ("owner", "DELETE", f"/api/v1/instances/acme/front-end-tokens/{token}", None),
        ("superuser", "POST", f"/api/v1/users/{user}/disable", None),
        ("superuser", "POST", f"/api/v1/users/{user}/promote", None),
    ]
    for again in (False, True):
        before = entries(callers_app)
        for who, method, path, body in first:
            assert callers_app.request(who, method, path, body).status_code in (200, 204), path
        assert len(later(callers_app, before)) == (0 if again else len(first))


def test_a_refused_action_leaves_only_the_refusal(callers_app: CallersApp) -> None:
    before = entries(callers_app)
    assert callers_app.request("owner", "POST", "/api/v1/instances/acme/tasks", {"kind": "brief"}).status_code == 422
    assert (
        callers_app.request("owner", "PUT", "/api/v1/instances/acme/members/nobody", {"role": "viewer"}).status_code
        == 404
    )
    assert callers_app.request("owner", "DELETE", "/api/v1/instances/acme?confirm=other").status_code == 422
    failed = callers_app.new_failure()
    assert callers_app.request("owner", "POST", f"/api/v1/tasks/{failed}/cancel").status_code == 409
    assert later(callers_app, before) == []


def test_after_all_of_it_every_chain_is_whole(callers_app: CallersApp) -> None:
    with callers_app.rt.db.read() as session:
        assert [fault for scope in list_scopes(session) for fault in verify(session, scope).faults] == []
