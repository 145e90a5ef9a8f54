"""Runs every query of the application once, on a small database with rows of every kind."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from swallowtail.app.core.audit.reader import list_scopes, verify
from swallowtail.app.core.coordination import worker_registry
from swallowtail.app.core.events import now
from swallowtail.app.core.identity import sessions, user_passwords, users
from swallowtail.app.core.ledger import proposals
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.maintenance import key_rotation, retention
from swallowtail.app.core.maintenance.audit_cleanup import delete_old_entries
from swallowtail.app.core.maintenance.token_cleanup import delete_ended_tokens
from swallowtail.app.core.queries.system_status import SystemStatusCollector
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import OPEN, Caller
from swallowtail.app.core.services import instance_deletion, log_epochs, schedule_firing
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.wire import Since
from tests.harness.database.query_plans import OWN
from tests.web.access_table import TABLE
from tests.web.callers import CallersApp

#: Settings under which rows are pruned.
KEEPS: dict[str, Any] = {
    "event_retention_days": 10.0, "task_retention_days": 10.0, "token_keep_days": 10.0, "audit_keep_days": 10.0,
    "prune_floor": 0.0, "encryption_keys": "one:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}  # fmt: skip
#: Twenty days.
_MICROS = 20 * 86_400_000_000
_ERROR = {"code": "exception", "message": "It broke", "type": "ValueError"}
_PASSWORD = "correct horse battery"


def do_everything(callers_app: CallersApp) -> None:
    """Run all queries."""
    for do in (work_all, sweep_all, sign_in_all, ask_all, keep_all):
        do(callers_app)


def ask_all(callers_app: CallersApp) -> None:
    """Call every route as each permitted caller, and every list with all combinations of filters."""
    for who in ("owner", "superuser", "task_page"):
        for route, row in TABLE.items():
            callers_app.request(who, route.split()[0], row.path(callers_app), row.body)
    for who, path in _lists(callers_app):
        response = callers_app.request(who, "GET", path)
        assert response.status_code == 200, (path, response.text)


def _lists(callers_app: CallersApp) -> Iterator[tuple[str, str]]:
    since, until = "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
    tasks = {"status": "FAILED", "kind": "brief", "since": since, "until": until, "text": "brief", "limit": "1"}
    audit = {"action": "task.submit", "actor": "owner", "object_id": "x", "since": since, "until": until}
    instance = "/api/v1/instances/acme"
    for who, path, filters in (
        ("owner", f"{instance}/tasks", tasks),
        ("task_page", f"{instance}/tasks", tasks),
        ("owner", "/instances/acme", {"status": "FAILED", "kind": "brief"}),
        ("owner", f"{instance}/audit", audit),
        ("superuser", "/api/v1/audit", {}),
        ("owner", "/instances/acme/audit", {"action": "task.submit", "actor": "owner"}),
        ("owner", f"{instance}/events", {"since": "1", "limit": "1", "task_id": callers_app.task_id}),
        ("owner", f"{instance}/schedules", {"limit": "1"}),
        ("superuser", "/api/v1/users", {"limit": "1"}),
        ("stranger", "/api/v1/instances", {"limit": "1"}),
    ):
        for size in range(len(filters) + 1):
            for selection in itertools.combinations(filters.items(), size):
                yield who, f"{path}?{urlencode(selection)}"
                if "limit" in dict(selection) and "events" not in path:
                    cursor = callers_app.request(who, "GET", f"{path}?{urlencode(selection)}").get_json()["next_cursor"]
                    if cursor is not None:
                        yield who, f"{path}?{urlencode({**dict(selection), 'cursor': cursor})}"


def work_all(callers_app: CallersApp) -> None:
    """Run the workers' queries: tasks with every outcome, with steps of every kind."""
    rt = callers_app.rt
    done = _claimed(callers_app)
    rt.runs.heartbeat(done, 10, "on it")
    rt.runs.start_step(done, "plan", "Manager", "plan")
    rt.runs.finish_step(done, "plan", {"did": "x" * 40_000}, progress=50)
    rt.runs.skip_step(done, "look", "Manager", "look", "not needed")
    rt.runs.complete(done, {"done": True})
    for delay in (0.0, 1000.0):
        failing = _claimed(callers_app)
        rt.runs.start_step(failing, "plan", "Manager", "plan")
        rt.runs.fail_step(failing, "plan", _ERROR)
        rt.runs.retry_later(failing, _ERROR, delay)
    again = rt.runs.claim(failing.task_id, 2, "test")
    assert again is not None
    rt.runs.start_step(again, "plan", "Manager", "plan")
    rt.runs.fail(again, _ERROR)
    rt.ledger.retry(failing.task_id, "plan")
    rt.ledger.request_cancel(_claimed(callers_app).task_id)
    rt.proposals.lost(_claimed(callers_app).task_id, 1, proposals.WORKER_LOST)
    rt.proposals.failed(_claimed(callers_app).task_id, 1, _ERROR)
    rt.proposals.cancelled(_claimed(callers_app).task_id, 1)
    rt.proposals.discarded(callers_app.new_task(), 1)


def _claimed(callers_app: CallersApp) -> Claim:
    task_id = callers_app.new_task()
    callers_app.rt.ledger.mark_queued(task_id, 1, 60.0)
    claim: Claim | None = callers_app.rt.runs.claim(task_id, 1, "test")
    assert claim is not None
    return claim


def sweep_all(callers_app: CallersApp) -> None:
    """Run the periodic queries, each with rows to work on."""
    rt = callers_app.rt
    # The broker responds, and its queue is empty.
    rt.relay._read_depth = lambda: 0
    rt.relay._send = lambda entry: entry.sends == 0
    rt.ledger.mark_queued(callers_app.new_task(), 1, 60.0)
    _claimed(callers_app)
    _write(rt, f"UPDATE outbox SET sent_at = sent_at - {_MICROS}")
    rt.relay.find_lost()
    rt.relay._reserve(100)
    rt.relay._count_missing(10)
    late = callers_app.new_task()
    _write(rt, "UPDATE task SET expires_at = 1 WHERE id = :id", id=late)
    rt.make_sweeper().run_once()
    rt.clock.check()
    worker_registry.announce(rt.db, "one", ["brief"], 10)
    schedule_firing.fire_due(rt, at=now() + timedelta(hours=1))
    worker_registry.retire(rt.db, "one")
    list(SystemStatusCollector(rt.db, rt.settings, lambda: rt.relay.depth).collect())
    _follow(callers_app)


def _follow(callers_app: CallersApp) -> None:
    """Run the queries of delivery."""
    reader, pairs = DatabaseReader(callers_app.rt.db, callers_app.rt.settings), []
    for who in ("owner", "page", "superuser"):
        actor = callers_app.actors[who]
        pairs += [(actor, "acme"), (actor, "other")]
    reader.find_unreadable(pairs)
    reader.read_heads(["acme", "other"])
    reader.read_page("acme", 1)
    reader.read_start("acme", Since("other", 1))
    reader.read_permission_version()
    callers_app.web_app.web.tokens.find_ended([actor for actor, _ in pairs])


def sign_in_all(callers_app: CallersApp) -> None:
    """Run the queries of users, sessions and tokens."""
    rt, tokens = _trusted(callers_app.rt), callers_app.web_app.web.tokens
    users.create_user(rt, "ann", password=_PASSWORD)
    signed = sessions.sign_in(rt, tokens, "ann", _PASSWORD)
    again = sessions.refresh(rt, tokens, signed.session_token)
    tokens.read(again.access_token)
    tokens.read_session(again.session_token)
    sessions.close_session(rt, signed.session_id)
    user_passwords.set_password(rt, "ann", _PASSWORD + "!")
    for name in ("ann", "superuser"):
        users.set_superuser(rt, name, is_superuser=True)
    users.set_superuser(rt, "ann", is_superuser=False)
    users.disable_user(rt, "ann")
    users.enable_user(rt, "ann")


def keep_all(callers_app: CallersApp) -> None:
    """Run retention, key rotation and the deletion of an instance."""
    rt = _trusted(callers_app.rt)
    list(key_rotation.rotate(rt.db))
    key_rotation.count_use(rt.db)
    with rt.db.read() as session:
        for scope in list_scopes(session):
            verify(session, scope)
    _write(rt, f"UPDATE event SET created_at = created_at - {_MICROS}")
    _write(rt, f"UPDATE task SET finished_at = finished_at - {_MICROS}")
    _write(rt, f"UPDATE access_token SET expires_at = expires_at - 100 * {_MICROS}, revoked_at = 1")
    retention.preview_pruning(rt, "acme")
    assert retention.prune_due(rt, lambda: True)
    assert delete_ended_tokens(rt, lambda: True)
    with pytest.MonkeyPatch.context() as patch:
        # The database refuses to change the age of entries.
        patch.setitem(vars(rt.settings), "audit_keep_days", -1.0)
        assert delete_old_entries(rt, lambda: True)
    log_epochs.renew_epoch(rt, "other")
    list(log_epochs.renew_every_epoch(rt))
    instance_deletion.delete_instance(rt, "acme", "acme")


def _trusted(rt: Runtime) -> Runtime:
    return rt.by(Caller(OPEN, "cli"))


def _write(rt: Runtime, statement: str, **values: Any) -> None:
    with rt.db.write() as session:
        session.execute(text(f"{OWN} {statement}"), values)
