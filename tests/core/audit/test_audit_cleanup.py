"""The oldest entries of the audit log are pruned, and the other entries can still be verified."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from swallowtail.app.core.audit.reader import ChainAnchor, ChainReport, list_entries, verify
from swallowtail.app.core.audit.writer import BEGINNING, SYSTEM_SCOPE, AuditRecord, append
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.events import now
from swallowtail.app.core.maintenance import audit_cleanup
from swallowtail.app.core.maintenance.audit_cleanup import delete_old_entries
from swallowtail.app.core.schemas.identities import AuditFilter
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.tables.system import PeriodicLock
from tests.core.audit.audit_chain import ANN, entry_hash
from tests.core.domain import Domain
from tests.core.maintenance.retained_log import head
from tests.harness.waiting import wait_until

NewDomain = Callable[..., Domain]


@pytest.fixture
def keeping(new_domain_on: NewDomain) -> Domain:
    """Return a domain that keeps ten days of entries."""
    return new_domain_on(audit_keep_days=10, prune_batch=2)


def write(domain: Domain, *ages: float, scope: str = "demo") -> None:
    """Write an entry for each age in days."""
    for age in ages:
        record = AuditRecord(scope, "task.cancel", "task", "t", {"age": age})
        domain.db.run(partial(append, caller=ANN, records=[record], at=now() - timedelta(days=age)))


def prune(domain: Domain) -> int:
    """Prune as if it were due; return the number of deleted entries."""
    with domain.db.write() as session:
        session.execute(update(PeriodicLock).values(next_at=db_now(-1)))
    return delete_old_entries(domain.rt, lambda: True)


def verdict(domain: Domain, scope: str = "demo", *, after: int = 0, anchor: ChainAnchor | None = None) -> ChainReport:
    with domain.db.read() as session:
        return verify(session, scope, after=after, anchor=anchor)


def numbers(domain: Domain, scope: str = "demo") -> list[int]:
    with domain.db.read() as session:
        return sorted(entry["number"] for entry in list_entries(session, scope, AuditFilter(), limit=100)[0])


def change(domain: Domain, *statements: str) -> None:
    """Run statements as a database user with write access can: with all triggers."""
    with domain.db.write() as session:
        for statement in statements:
            session.execute(text(statement))


def test_the_oldest_entries_go_and_the_rest_is_whole(keeping: Domain) -> None:
    write(keeping, 30, 29, 28, 27, 12, 9, 0)
    last_pruned = entry_hash(keeping, 5)
    assert prune(keeping) == 5
    assert numbers(keeping) == [6, 7]
    report = verdict(keeping)
    assert (report.faults, report.count, report.number, report.pruned) == ([], 2, 7, 5)
    assert report.notes == ["the entries up to 5 were pruned"]
    assert verdict(keeping, after=3).is_whole
    assert verdict(keeping, after=6).count == 1
    write(keeping, 0)
    assert (verdict(keeping).is_whole, verdict(keeping).number) == (True, 8)
    with keeping.db.read() as session:
        pruned = list_entries(session, SYSTEM_SCOPE, AuditFilter(action="audit.prune"), limit=9)[0]
    assert [(entry["actor_kind"], entry["object_id"], entry["detail"]["count"]) for entry in pruned] == [
        ("system", "demo", 1),
        ("system", "demo", 2),
        ("system", "demo", 2),
    ]
    assert pruned[0]["detail"] == {"scope": "demo", "count": 1, "number": 5, "hash": last_pruned}


def test_entries_are_deleted_in_their_order(keeping: Domain) -> None:
    write(keeping, 30, 5, 30, 0)
    assert prune(keeping) == 1
    assert numbers(keeping) == [2, 3, 4]


def test_a_chain_of_which_all_is_old_keeps_its_end(keeping: Domain) -> None:
    write(keeping, 30, 29)
    end = verdict(keeping)
    assert prune(keeping) == 2
    report = verdict(keeping, anchor=ChainAnchor(end.number, end.hash))
    assert (report.faults, report.count, report.number, report.hash) == ([], 0, 2, end.hash)
    write(keeping, 0)
    assert (verdict(keeping).is_whole, numbers(keeping)) == (True, [3])


def test_the_system_chain_is_pruned_too_and_records_it(keeping: Domain) -> None:
    write(keeping, 30, 29, 28, 1, scope=SYSTEM_SCOPE)
    assert prune(keeping) == 3
    assert numbers(keeping, SYSTEM_SCOPE) == [4, 5, 6]
    report = verdict(keeping, SYSTEM_SCOPE)
    assert (report.faults, report.pruned) == ([], 3)


def test_no_entry_is_pruned_twice_and_an_empty_pruning_is_not_recorded(keeping: Domain) -> None:
    write(keeping, 30, 1)
    assert prune(keeping) == 1
    assert prune(keeping) == 0
    assert numbers(keeping, SYSTEM_SCOPE) == [1]


def test_without_the_setting_everything_is_kept(new_domain: NewDomain) -> None:
    domain = new_domain()
    write(domain, 3000)
    assert prune(domain) == 0
    assert (numbers(domain), verdict(domain).notes) == ([1], [])


def test_pruning_stops_between_two_transactions_on_request(new_domain: NewDomain) -> None:
    domain = new_domain(audit_keep_days=10, prune_batch=2)
    write(domain, 30, 30, 30, 30, 30)
    answers = iter([True, False])
    assert delete_old_entries(domain.rt, lambda: next(answers)) == 2
    assert (numbers(domain), verdict(domain).is_whole) == ([3, 4, 5], True)
    assert prune(domain) == 3


def test_a_pruned_anchor_is_reported_as_pruned(keeping: Domain) -> None:
    write(keeping, 30, 29, 28, 1)
    old, last, present = (ChainAnchor(number, entry_hash(keeping, number)) for number in (2, 3, 4))
    prune(keeping)
    report = verdict(keeping, anchor=old)
    assert report.is_whole
    assert "entry 2, the anchor, was pruned, so that it proves nothing" in report.notes
    for anchor in (last, present):
        report = verdict(keeping, anchor=anchor)
        assert (report.faults, report.notes) == ([], ["the entries up to 3 were pruned"])
    assert verdict(keeping, anchor=ChainAnchor(3, "1" * 64)).faults == ["entry 3 is not the one of the anchor"]


def test_an_export_has_the_entries_that_are_left(keeping: Domain) -> None:
    write(keeping, 30, 29, 1)
    last_pruned = entry_hash(keeping, 2)
    prune(keeping)
    lines = [json.loads(line) for line in b"".join(export_instance(keeping.rt, "demo")).splitlines()]
    entries = [line["audit"] for line in lines if line["kind"] == "audit"]
    assert [entry["number"] for entry in entries] == [3]
    assert entries[0]["previous_hash"] == last_pruned


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_entry WHERE scope = 'demo' AND number = 4",
        "DELETE FROM audit_entry WHERE scope = 'other' AND number = 1",
        "DELETE FROM audit_entry",
        "UPDATE audit_entry SET actor_name = 'eve' WHERE scope = 'demo'",
        "UPDATE audit_entry SET number = 1 WHERE scope = 'demo' AND number = 5",
    ],
)
def test_the_database_refuses_to_delete_entries_that_are_not_recorded_as_pruned(
    keeping: Domain, statement: str
) -> None:
    write(keeping, 30, 29, 28, 1, 0)
    write(keeping, 0, scope="other")
    prune(keeping)
    with pytest.raises(DBAPIError, match="append-only"):
        change(keeping, statement)
    assert (verdict(keeping).is_whole, verdict(keeping, "other").is_whole) == (True, True)


def test_postgresql_still_refuses_to_empty_a_pruned_log(new_postgres_domain: NewDomain) -> None:
    domain = new_postgres_domain(audit_keep_days=10)
    write(domain, 30, 1)
    prune(domain)
    with pytest.raises(DBAPIError, match="append-only"):
        change(domain, "TRUNCATE audit_entry")
    with pytest.raises(DBAPIError, match="append-only"):
        change(
            domain,
            "CREATE TEMPORARY TABLE audit_chain AS SELECT 'demo' AS scope, 99 AS pruned_number",
            "DELETE FROM audit_entry WHERE scope = 'demo'",
        )
    assert numbers(domain) == [2]


def note(number: int, last_hash: str) -> str:
    return f"UPDATE audit_chain SET pruned_number = {number}, pruned_hash = '{last_hash}' WHERE scope = 'demo'"


def test_a_start_that_was_changed_is_reported(keeping: Domain) -> None:
    write(keeping, 30, 29, 2, 1, 0)
    right = {number: entry_hash(keeping, number) for number in (1, 2, 3)}
    change(keeping, note(3, right[3]))
    assert verdict(keeping).faults == [
        "entry 1 is there, and the chain should begin after entry 3",
        "the chain begins after entry 3, and no audit.prune says so",
    ]
    change(keeping, note(0, BEGINNING))
    prune(keeping)
    assert verdict(keeping).is_whole
    disagrees = "the chain should begin after entry 2, as audit.prune says, and begins after entry {}".format
    change(keeping, note(2, "1" * 64))
    assert verdict(keeping).faults == [disagrees(2), "entry 3 does not follow entry 2"]
    change(keeping, note(1, right[1]))
    assert verdict(keeping).faults == [disagrees(1), "entry 2 is missing"]
    change(keeping, note(0, BEGINNING))
    assert verdict(keeping).faults == [disagrees(0), "entries 1 to 2 are missing"]
    # The attacker keeps number, hash and deletion consistent.
    change(keeping, note(3, right[3]), "DELETE FROM audit_entry WHERE scope = 'demo' AND number <= 3")
    assert verdict(keeping).faults == [disagrees(3)]


def test_the_entry_about_a_pruning_may_itself_be_pruned(keeping: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    write(keeping, 30, 29, 1)
    with monkeypatch.context() as long_ago:
        long_ago.setattr(audit_cleanup, "now", lambda: now() - timedelta(days=20))
        assert prune(keeping) == 2
    assert prune(keeping) == 1
    assert numbers(keeping, SYSTEM_SCOPE) == [2]
    assert (verdict(keeping).faults, verdict(keeping, SYSTEM_SCOPE).faults) == ([], [])
    change(keeping, note(1, "1" * 64))
    assert verdict(keeping).faults == ["entry 2 is missing"]


def test_entries_are_written_while_others_are_pruned(keeping: Domain) -> None:
    done: list[int] = []
    writers = [
        threading.Thread(target=write, args=(keeping, *[30.0] * 10), kwargs={"scope": scope})
        for scope in ("demo", "demo", "other")
    ]
    pruners = [threading.Thread(target=lambda: done.extend(prune(keeping) for _ in range(8))) for _ in range(2)]
    for thread in writers + pruners:
        thread.start()
    for thread in writers + pruners:
        thread.join()
    done.append(prune(keeping))
    assert (sum(done), numbers(keeping), numbers(keeping, "other")) == (30, [], [])
    for scope in ("demo", "other", SYSTEM_SCOPE):
        assert verdict(keeping, scope).faults == []


def test_an_entry_inserted_before_the_start_is_reported(keeping: Domain) -> None:
    write(keeping, 30, 29, 1)
    prune(keeping)
    columns = "scope, at, actor_kind, actor_id, actor_name, action, object_type, object_id, entrance, address, detail"
    change(
        keeping,
        f"INSERT INTO audit_entry (number, {columns}, previous_hash, hash) "
        f"SELECT 1, {columns}, previous_hash, hash FROM audit_entry WHERE scope = 'demo' AND number = 3",
    )
    assert verdict(keeping).faults == ["entry 1 is there, and the chain should begin after entry 2"]


def test_a_sweeping_process_prunes_the_log(new_domain: NewDomain) -> None:
    domain = new_domain(audit_keep_days=10, prune_interval=0.05)
    write(domain, 30, 1)
    sweeper = domain.rt.make_sweeper()
    sweeper.start()
    try:
        wait_until(lambda: numbers(domain) == [2], "the old entry to be pruned")
    finally:
        sweeper.stop()
    assert verdict(domain).is_whole


@pytest.mark.long
def test_a_log_that_may_not_be_pruned_keeps_nothing_else_from_being_pruned(new_domain: NewDomain) -> None:
    domain = new_domain(audit_keep_days=10, prune_interval=0.2, event_retention_events=1, prune_floor=0)
    write(domain, 30)
    change(
        domain,
        "CREATE TRIGGER no_right BEFORE DELETE ON audit_entry BEGIN SELECT RAISE(ABORT, 'no right'); END",
    )
    domain.ledger.request_cancel(domain.submit())
    sweeper = domain.rt.make_sweeper()
    sweeper.start()
    try:
        wait_until(lambda: head(domain).min_seq > 0, "the older event to be pruned")
    finally:
        sweeper.stop()
    assert (numbers(domain), verdict(domain).faults) == ([1], [])
