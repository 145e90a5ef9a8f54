"""The audit log over REST and as a page: its entries, its readers, and the escaping of its texts."""

from __future__ import annotations

import html
import re
from dataclasses import replace

from swallowtail.app.core.audit.writer import AuditRecord, append
from swallowtail.app.core.events import now
from swallowtail.app.core.security.actors import OPEN, Caller
from swallowtail.app.core.tables.auth import User
from tests.web.app_fixture import WebApp, expect_json, expect_problem
from tests.web.callers import CallersApp

EVIL = "<script>alert(1)</script>"


def test_an_instances_log_is_read_in_pages(web_app: WebApp) -> None:
    for _ in range(6):
        web_app.submit()
    page = expect_json(web_app.get("/instances/acme/audit"))
    assert [entry["action"] for entry in page["items"]] == ["task.submit"] * 5
    rest = expect_json(web_app.get(f"/instances/acme/audit?cursor={page['next_cursor']}"))
    assert [(entry["number"], entry["action"]) for entry in rest["items"]] == [
        (2, "task.submit"),
        (1, "instance.create"),
    ]
    assert rest["next_cursor"] is None
    result = expect_json(
        web_app.get("/instances/acme/audit?action=instance.create&actor=anybody&since=2020-01-01T00:00:00Z")
    )
    assert [(e["entrance"], e["address"], e["object_id"]) for e in result["items"]] == [("rest", "127.0.0.1", "acme")]
    assert expect_json(web_app.get("/instances/acme/audit?until=2020-01-01T00:00:00Z"))["items"] == []
    expect_problem(web_app.get("/instances/acme/audit?cursor=x"), 422, "invalid_input", "cursor")
    expect_problem(web_app.get("/instances/acme/audit?since=yesterday"), 422, "invalid_input", "since")


def test_the_page_escapes_the_entries(web_app: WebApp) -> None:
    caller = Caller(replace(OPEN, name=EVIL), "rest", EVIL)
    record = AuditRecord("acme", EVIL, EVIL, EVIL, {EVIL: EVIL})
    web_app.rt.db.run(lambda session: append(session, caller, [record], now()))
    web_app.rt.db.run(lambda session: append(session, caller, [replace(record, scope="")], now()))
    for path in ("/instances/acme/audit", "/audit"):
        page = web_app.fetch(f"{path}?action={EVIL}")
        assert page.status_code == 200
        assert EVIL not in page.text
        assert page.text.count("&lt;script&gt;") >= 6


def test_refusals_are_written_down_where_they_belong(callers_app: CallersApp) -> None:
    for _ in range(5):
        assert callers_app.request("viewer", "POST", f"/api/v1/tasks/{callers_app.task_id}/cancel").status_code == 403
    assert callers_app.request("viewer", "GET", "/api/v1/audit").status_code == 403
    # Denied requests are written in the background.
    callers_app.web_app.web.denied_requests.close(timeout=60)
    items = callers_app.request("admin", "GET", "/api/v1/instances/acme/audit?action=denied").get_json()["items"]
    cancellations = [
        e for e in items if e["object_id"] == callers_app.task_id and e["detail"]["act"].endswith("/cancel")
    ]
    assert [(e["object_type"], e["detail"]["act"]) for e in cancellations] == [
        ("task", "POST /api/v1/tasks/<task_id>/cancel")
    ]
    outside = callers_app.request("superuser", "GET", "/api/v1/audit?action=denied").get_json()["items"]
    assert "GET /api/v1/audit" in {e["detail"]["act"] for e in outside}


def test_the_log_of_no_instance_is_a_page_for_superusers(callers_app: CallersApp) -> None:
    for _ in range(60):
        callers_app.request("superuser", "POST", f"/api/v1/users/{callers_app.new_user()}/promote")
    page = callers_app.request("superuser", "GET", "/audit?actor=superuser&action=user.promote")
    assert page.text.count("<code>user.promote</code>") == 50
    following = re.search(r'href="(\?action=user.promote&amp;actor=superuser&amp;cursor=\d+)"', page.text)
    assert following
    earlier = callers_app.request("superuser", "GET", f"/audit{html.unescape(following[1])}")
    assert earlier.text.count("<code>user.promote</code>") == 10
    assert callers_app.request("owner", "GET", "/audit").status_code == 403


def test_the_tab_is_shown_to_those_who_may_read(callers_app: CallersApp) -> None:
    assert "Audit log" in callers_app.request("admin", "GET", "/instances/acme").text
    assert "Audit log" not in callers_app.request("viewer", "GET", "/instances/acme").text


def test_a_failed_sign_in_is_audited_without_the_typed_text(callers_app: CallersApp) -> None:
    with callers_app.web_app.rt.db.write() as session:
        session.add(User(id="u-ann", name="ann-known", created_at=now()))
    for name in ("Ann-Known", "correct horse battery staple"):
        assert (
            callers_app.web_app.post("/auth/login", {"name": name, "password": "wrong horse battery"}).status_code
            == 401
        )
    result = callers_app.request("superuser", "GET", "/api/v1/audit?action=login.failed").get_json()["items"]
    assert [(e["actor_kind"], e["object_id"], e["detail"], e["address"]) for e in result] == [
        ("nobody", "", {}, "127.0.0.1"),
        ("nobody", "u-ann", {"name": "ann-known"}, "127.0.0.1"),
    ]
