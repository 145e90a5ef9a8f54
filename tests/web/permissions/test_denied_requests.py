"""Denied requests get audit entries in the background, a limited number per caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from swallowtail.app.core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from swallowtail.app.core.identity import api_tokens
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.security.actors import Caller
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.web.background.denied_requests import BACKLOG, DeniedRequestQueue
from swallowtail.app.web.request import current_caller
from tests.harness.waiting import wait_until
from tests.web.callers import CallersApp

IDENTIFY = current_caller.identify
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def callers_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CallersApp]:
    callers_app = CallersApp(tmp_path, monkeypatch)
    yield callers_app
    callers_app.web_app.close()


def refused(callers_app: CallersApp) -> list[AuditEntry]:
    """Return the entries about denied requests of all logs."""
    with callers_app.rt.db.read() as session:
        about = select(AuditEntry).where(AuditEntry.action.in_(["denied", "token.refused"]))
        return list(session.scalars(about.order_by(AuditEntry.scope, AuditEntry.number)))


def await_refused(callers_app: CallersApp, number: int) -> list[AuditEntry]:
    wait_until(
        lambda: len(refused(callers_app)) >= number, "refusals are written", seen=lambda: len(refused(callers_app))
    )
    # All waiting entries were written with them.
    callers_app.web_app.web.denied_requests.close()
    return refused(callers_app)


def test_a_denied_act_is_audited_in_the_log_of_the_instance(callers_app: CallersApp) -> None:
    for _ in range(3):
        assert callers_app.request("viewer", "POST", f"/api/v1/tasks/{callers_app.task_id}/cancel").status_code == 403
    (entry,) = await_refused(callers_app, 1)
    assert (entry.scope, entry.action) == ("acme", "denied")
    assert (entry.object_type, entry.object_id) == ("task", callers_app.task_id)
    assert (entry.actor_id, entry.entrance, entry.address) == ("viewer", "rest", "127.0.0.1")
    assert entry.detail == {"act": "POST /api/v1/tasks/<task_id>/cancel"}


def test_a_request_for_a_hidden_object_is_audited_in_its_instance_and_for_a_missing_one_nowhere(
    callers_app: CallersApp,
) -> None:
    schedule_id, artifact_id = callers_app.new_schedule(), callers_app.new_artifact()
    asked = {
        "instance": ("/api/v1/instances/{}/tasks", "acme"),
        "task": ("/api/v1/tasks/{}", callers_app.task_id),
        "schedule": ("/api/v1/schedules/{}", schedule_id),
        "artifact": ("/api/v1/artifacts/{}", artifact_id),
    }
    for path, object_id in asked.values():
        missing = "nowhere" if object_id == "acme" else NOWHERE
        assert callers_app.request("stranger", "GET", path.format(missing)).status_code == 404
        assert callers_app.request("stranger", "GET", path.format(object_id)).status_code == 404
    assert (
        callers_app.request("owner", "PUT", "/api/v1/instances/acme/members/no.such", {"role": "viewer"}).status_code
        == 404
    )
    assert callers_app.request("nobody", "GET", f"/api/v1/tasks/{callers_app.task_id}").status_code == 401
    result = await_refused(callers_app, len(asked))
    assert {(e.scope, e.actor_id, e.object_type, e.object_id) for e in result} == {
        ("acme", "stranger", kind, object_id) for kind, (_, object_id) in asked.items()
    }
    assert len(result) == len(asked)


def test_a_denied_page_is_audited_as_a_page(callers_app: CallersApp) -> None:
    assert callers_app.request("stranger", "GET", "/instances/acme").status_code == 404
    (entry,) = await_refused(callers_app, 1)
    assert (entry.scope, entry.entrance, entry.detail) == ("acme", "ui", {"act": "GET /instances/<instance_id>"})


def test_an_ended_token_is_audited_with_its_id_and_an_unknown_one_without(
    callers_app: CallersApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, rt = Tokens(callers_app.rt), callers_app.rt
    viewer = rt.by(Caller(callers_app.actors["viewer"], "system"))
    personal = api_tokens.issue_personal(viewer, NewToken(name="ci"))
    page = api_tokens.issue_front_end(rt, tokens, "acme", NewFrontEndToken(name="page"))
    api_tokens.revoke_own(viewer, personal["token"]["id"])
    api_tokens.revoke_front_end(rt, "acme", page["token"]["id"])
    monkeypatch.setattr(current_caller, "identify", IDENTIFY)
    stolen = f"{personal['secret'][:-4]}0000"
    for token in (personal["secret"], personal["secret"], page["secret"], "nonsense", "rubbish", stolen):
        response = callers_app.web_app.get("/instances", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 401
    callers_app.web_app.get("/instances")
    result = await_refused(callers_app, 3)
    assert [(e.scope, e.actor_kind, e.object_type, e.object_id, e.detail["why"]) for e in result] == [
        ("", "nobody", "token", personal["token"]["id"], "this token was revoked"),
        ("", "nobody", "token", "", "this is not a token that is accepted here"),
        ("acme", "nobody", "token", page["token"]["id"], "this token was revoked"),
    ]
    assert {(e.entrance, e.address) for e in result} == {("rest", "127.0.0.1")}
    assert personal["secret"] not in str([vars(entry) for entry in result])


def test_only_denied_permissions_are_audited(callers_app: CallersApp) -> None:
    refusals, caller = (
        callers_app.web_app.web.denied_requests,
        Caller(callers_app.actors["stranger"], "socket", "192.0.2.1"),
    )
    refusals.note(InvalidInput("no"), caller, "subscribe_instance", "instance", "acme")
    refusals.note(Unauthenticated(), caller, "connect", "", "")
    refusals.note(NotFound(), caller, "unsubscribe_task", "", "")
    refusals.note(NotFound(), caller, "subscribe_instance", "instance", "acme")
    refusals.note(Forbidden(), caller, "refresh_token", "", "")
    result = await_refused(callers_app, 2)
    assert [(e.scope, e.object_id, e.entrance, e.address, e.detail["act"]) for e in result] == [
        ("", "", "socket", "192.0.2.1", "refresh_token"),
        ("acme", "acme", "socket", "192.0.2.1", "subscribe_instance"),
    ]


def test_no_caller_waits_for_the_audit_and_the_excess_is_counted(callers_app: CallersApp) -> None:
    caller = Caller(callers_app.actors["stranger"], "socket", "192.0.2.1")
    refusals: DeniedRequestQueue = callers_app.web_app.web.denied_requests
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with callers_app.rt.db.write() as session:
            session.execute(text("UPDATE instance SET name = name"))
            held.set()
            let_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    # While no other thread can write, this thread continues.
    for number in range(3 * BACKLOG):
        refusals.note(NotFound(), replace(caller, address=f"192.0.2.{number}"), "connect", "instance", "acme")
    let_go.set()
    holder.join()
    callers_app.web_app.web.denied_requests.close(timeout=60)
    callers_app.web_app.web.denials.flush()
    with callers_app.rt.db.read() as session:
        rows = list(session.scalars(select(AuditEntry).where(AuditEntry.action == "denied")))
    most = callers_app.rt.settings.max_refusals
    assert len(rows) <= most + 2
    assert sum(row.detail.get("more", 1) for row in rows) == 3 * BACKLOG
    assert max(row.detail["more"] for row in rows if row.detail.get("others")) >= BACKLOG


def test_an_error_of_the_audit_affects_no_request(callers_app: CallersApp, monkeypatch: pytest.MonkeyPatch) -> None:
    denials, refusals = callers_app.web_app.web.denials, callers_app.web_app.web.denied_requests
    note: Callable[..., Any] = denials.note
    failed = threading.Event()

    def fail(*_: Any) -> None:
        failed.set()
        raise RuntimeError("broken")

    caller = Caller(callers_app.actors["viewer"], "socket")
    monkeypatch.setattr(denials, "note", fail)
    refusals.note(Forbidden(), caller, "first", "", "")
    failed.wait()
    monkeypatch.setattr(denials, "note", note)
    refusals.note(Forbidden(), caller, "second", "", "")
    assert [entry.detail["act"] for entry in await_refused(callers_app, 1)] == ["second"]


def test_counts_are_written_while_requests_for_missing_objects_arrive(callers_app: CallersApp) -> None:
    """Starvation: counts were written only after a whole window without a request, also without one for an entry."""
    callers_app.web_app.web.denials.window = 0.5
    caller, queue = Caller(callers_app.actors["viewer"], "socket"), callers_app.web_app.web.denied_requests
    for _ in range(5):
        queue.note(Forbidden(), caller, "act", "", "")

    def all_are_counted() -> bool:
        queue.note(NotFound(), caller, "subscribe_task", "task", NOWHERE)
        return bool(sum(e.detail.get("more", 1) for e in refused(callers_app)) == 5)

    wait_until(all_are_counted, "what was counted is written")


def test_counts_are_written_when_no_more_requests_arrive(callers_app: CallersApp) -> None:
    callers_app.web_app.web.denials.window = 0.05
    caller = Caller(callers_app.actors["viewer"], "socket")
    for _ in range(5):
        callers_app.web_app.web.denied_requests.note(Forbidden(), caller, "act", "", "")
    wait_until(lambda: sum(e.detail.get("more", 1) for e in refused(callers_app)) == 5, "what was counted is written")
