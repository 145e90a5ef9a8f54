"""Actions become audit entries, lists of entries are filtered and paged, and repeated denials make few entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swallowtail.app.core.audit import reader
from swallowtail.app.core.audit.denied_requests import DeniedRequests
from swallowtail.app.core.audit.reader import list_entries, list_scopes
from swallowtail.app.core.audit.writer import SYSTEM_SCOPE, AuditRecord, append
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import now
from swallowtail.app.core.maintenance.retention import Policy, prune
from swallowtail.app.core.schemas.identities import AuditFilter
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.auth import User
from tests.core.audit.audit_chain import ANN, BOB, verdict, write
from tests.core.domain import Domain
from tests.web.limits.test_token_bucket import Clock


def test_an_action_is_written_with_its_actor_and_address(domain: Domain) -> None:
    with domain.db.write() as session:
        session.add(User(id="u1", name="ann", created_at=now()))
    create_instance(domain.rt.by(ANN), "Mine", "mine")
    with domain.db.read() as session:
        entries, _ = list_entries(session, "mine", AuditFilter(), limit=5)
        assert [(e["action"], e["actor_name"], e["address"]) for e in entries] == [
            ("instance.create", "ann", "192.0.2.1")
        ]
        assert list_scopes(session) == ["mine"]


def test_actions_of_the_system_are_not_audited(domain: Domain) -> None:
    domain.ledger.request_cancel(domain.submit())
    assert prune(domain.rt, "demo", Policy(events=0)).events == 2
    with domain.db.read() as session:
        assert list_scopes(session) == []


def test_lists_are_filtered_and_go_on_where_they_ended(domain: Domain) -> None:
    write(domain, 4)
    began = now()
    write(domain, 3, caller=BOB, first=5)

    def numbers(criteria: AuditFilter, **more: Any) -> list[int]:
        with domain.db.read() as session:
            return [e["number"] for e in list_entries(session, "demo", criteria, **{"limit": 50, **more})[0]]

    assert numbers(AuditFilter()) == [7, 6, 5, 4, 3, 2, 1]
    assert numbers(AuditFilter(actor="bob")) == numbers(AuditFilter(actor="u2")) == [7, 6, 5]
    assert numbers(AuditFilter(since=began)) == [7, 6, 5]
    assert numbers(AuditFilter(until=began)) == [4, 3, 2, 1]
    assert numbers(AuditFilter(object_id="t2")) == [2]
    assert numbers(AuditFilter(object_id="t2", action="nothing")) == []
    assert numbers(AuditFilter(action="task.submit")) == []
    assert numbers(AuditFilter(action="\x00")) == []
    with domain.db.read() as session:
        _, cursor = list_entries(session, "demo", AuditFilter(), limit=3)
    assert numbers(AuditFilter(), cursor=cursor) == [4, 3, 2, 1]
    with pytest.raises(InvalidInput, match="cursor"):
        numbers(AuditFilter(), cursor="x")


def test_entries_about_one_object_are_searched_in_parts(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_EXAMINED", 4)
    records = [AuditRecord("demo", "task.retry" if number % 5 else "task.cancel", "task", "t") for number in range(10)]
    with domain.db.write() as session:
        append(session, ANN, records[:3], now())
        append(session, BOB, records[3:], now())

    def pages(criteria: AuditFilter, limit: int = 50) -> list[list[int]]:
        listed: list[list[int]] = []
        cursor = None
        while not listed or cursor is not None:
            with domain.db.read() as session:
                page, cursor = list_entries(session, "demo", criteria, limit=limit, cursor=cursor)
            listed.append([entry["number"] for entry in page])
        return listed

    assert pages(AuditFilter(object_id="t", action="task.cancel")) == [[], [6], [1]]
    assert pages(AuditFilter(object_id="t", action="task.retry"), limit=2) == [[10, 9], [8, 7], [5, 4], [3, 2]]
    assert pages(AuditFilter(object_id="t", actor="bob", action="task.cancel")) == [[], [6], []]
    assert pages(AuditFilter(object_id="t", actor="u2"), limit=3) == [[10, 9, 8], [7, 6, 5], [4], []]
    assert pages(AuditFilter(object_id="t", actor="nobody")) == [[], [], []]


@pytest.mark.long
def test_a_thousand_refusals_are_a_few_entries(domain: Domain) -> None:
    clock = Clock()
    denials = DeniedRequests(domain.db, domain.settings, clock)
    for _ in range(1000):
        denials.note(BOB, "demo", "POST /tasks", "task", "t1")
    for number in range(1000):
        denials.note_failed_login(replace(BOB, address=f"192.0.2.{number}"), f"hunter{number}")
    clock.now += 61
    denials.note(BOB, "demo", "POST /tasks", "task", "t1")
    denials.flush()
    with domain.db.read() as session:
        denials_of_bob, _ = list_entries(session, "demo", AuditFilter(), limit=1000)
        logins, _ = list_entries(session, SYSTEM_SCOPE, AuditFilter(), limit=1000)
    assert [e["detail"].get("more") for e in denials_of_bob[::-1]] == [None, 999, None]
    assert {e["actor_name"] for e in denials_of_bob} == {"bob"}
    most = domain.settings.max_refusals
    assert most - 2 <= len(logins) <= most + 2
    assert sum(e["detail"].get("more", 1) for e in logins) == 1000
    assert "hunter" not in str(logins)
    assert verdict(domain).is_whole
    assert verdict(domain, scope=SYSTEM_SCOPE).is_whole
