"""The audit log is one unbroken chain whoever writes, cannot be changed, and tells when it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from swallowtail.app.core.audit import reader
from swallowtail.app.core.audit.denied_requests import Denials
from swallowtail.app.core.audit.reader import Anchor, Wanted, list_entries, list_scopes, verify
from swallowtail.app.core.audit.writer import BEGINNING, SYSTEM_SCOPE, AuditRecord, append, seal
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import now
from swallowtail.app.core.maintenance.retention import Policy, prune
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.auth import User
from tests.core.domain import Domain
from tests.web.limits.test_token_bucket import Clock

NewDomain = Callable[..., Domain]

ANN = Caller(Actor("user", "u1", "ann", user_id="u1", is_superuser=True), "rest", "192.0.2.1")
BOB = Caller(Actor("user", "u2", "bob", user_id="u2"), "cli")
TRIGGERS = ("audit_entry_no_update", "audit_entry_no_delete", "audit_entry_no_replace")


def write(domain: Domain, count: int, *, caller: Caller = ANN, scope: str = "demo", first: int = 1) -> None:
    for number in range(first, first + count):
        deed = AuditRecord(scope, "task.cancel", "task", f"t{number}", {"b": [1, {"z": None, "a": "é"}], "a": 1.5})
        domain.db.run(partial(append, caller=caller, records=[deed], at=now()))


def verdict(domain: Domain, **options: Any) -> Any:
    with domain.db.read() as session:
        return verify(session, options.pop("scope", "demo"), **options)


def tamper(domain: Domain, statement: str, **values: Any) -> None:
    """Do what somebody can who owns the database: first the triggers, then the entries."""
    with domain.db.write() as session:
        if session.connection().dialect.name == "sqlite":
            for name in TRIGGERS:
                session.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
        else:
            session.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER USER"))
        session.execute(text(statement), values)
    if domain.db.engine.dialect.name == "postgresql":
        with domain.db.write() as session:
            session.execute(text("ALTER TABLE audit_entry ENABLE TRIGGER USER"))


def test_a_chain_that_nobody_touched_is_whole(domain: Domain) -> None:
    write(domain, 5)
    found = verdict(domain)
    assert (found.is_whole, found.count, found.number) == (True, 5, 5)
    assert verdict(domain, after=3).count == 2
    assert verdict(domain, anchor=Anchor(found.number, found.hash)).is_whole
    nothing = verdict(domain, scope="nowhere")
    assert (nothing.is_whole, nothing.number, nothing.hash) == (True, 0, BEGINNING)


@pytest.mark.parametrize("statement", ["UPDATE audit_entry SET actor_name = 'x'", "DELETE FROM audit_entry"])
def test_the_database_refuses_to_change_or_remove_an_entry(domain: Domain, statement: str) -> None:
    write(domain, 2)
    with pytest.raises(DBAPIError, match="append-only"), domain.db.write() as session:
        session.execute(text(statement))
    assert verdict(domain).is_whole


@pytest.mark.parametrize("table", ["audit_entry", "audit_chain", "audit_entry, audit_chain"])
def test_postgresql_refuses_to_empty_the_log(new_postgres_domain: NewDomain, table: str) -> None:
    domain = new_postgres_domain()
    write(domain, 2)
    with pytest.raises(DBAPIError, match="append-only"), domain.db.write() as session:
        session.execute(text(f"TRUNCATE {table}"))
    assert (verdict(domain).is_whole, verdict(domain).count) == (True, 2)


def test_no_entry_is_put_in_the_place_of_another(domain: Domain) -> None:
    write(domain, 2)
    columns = ", ".join(column.name for column in AuditEntry.__table__.columns)
    forged = columns.replace("actor_name", "'eve'")
    statement = f"INTO audit_entry ({columns}) SELECT {forged} FROM audit_entry WHERE number = 1"
    if domain.db.engine.dialect.name == "sqlite":
        statement = f"INSERT OR REPLACE {statement}"
    else:
        statement = f"INSERT {statement} ON CONFLICT (scope, number) DO UPDATE SET actor_name = excluded.actor_name"
    with pytest.raises(DBAPIError, match="append-only"), domain.db.write() as session:
        session.execute(text(statement))
    assert verdict(domain).is_whole


BREAKING = {
    "changed": ("UPDATE audit_entry SET actor_name = 'eve' WHERE number = 3", "entry 3 was changed"),
    "detail changed": ("UPDATE audit_entry SET detail = '{}' WHERE number = 3", "entry 3 was changed"),
    "removed": ("DELETE FROM audit_entry WHERE number = 3", "entry 3 is missing"),
    "first removed": ("DELETE FROM audit_entry WHERE number = 1", "entry 1 is missing"),
    "several removed": ("DELETE FROM audit_entry WHERE number BETWEEN 2 AND 4", "entries 2 to 4 are missing"),
    "tail removed": (
        "DELETE FROM audit_entry WHERE number > 3",
        "the chain should end with entry 5, and ends with entry 3",
    ),
    "renumbered": ("UPDATE audit_entry SET number = 6 WHERE number = 5", "entry 5 is missing"),
    "end unnoted": ("DELETE FROM audit_chain", "the end of the chain is not noted"),
}


@pytest.mark.parametrize("what", BREAKING)
def test_tampering_is_found(domain: Domain, what: str) -> None:
    write(domain, 5)
    statement, message = BREAKING[what]
    tamper(domain, statement)
    assert message in verdict(domain).faults


def test_entries_that_change_places_are_found(domain: Domain) -> None:
    write(domain, 4)
    for old, new in ((2, 99), (3, 2), (99, 3)):
        tamper(domain, "UPDATE audit_entry SET number = :new WHERE number = :old", old=old, new=new)
    faults = verdict(domain).faults
    assert "entry 2 does not follow entry 1" in faults
    assert "entry 2 was changed" in faults


def test_an_entry_put_in_is_found(domain: Domain) -> None:
    write(domain, 3)
    columns = "at, actor_kind, actor_id, actor_name, action, object_type, object_id, entrance, address, detail"
    tamper(
        domain,
        f"INSERT INTO audit_entry (scope, number, {columns}, previous_hash, hash) "
        f"SELECT scope, 4, {columns}, hash, hash FROM audit_entry WHERE number = 3",
    )
    assert verdict(domain).faults == [
        "entry 4 was changed",
        "the chain should end with entry 3, and ends with entry 4",
    ]


def forge(domain: Domain, number: int, **values: Any) -> str:
    """Put another entry in the place of one, with a hash of its own that is right; the hash."""
    with domain.db.read() as session:
        row = session.scalars(select(AuditEntry).where(AuditEntry.number == number)).one()
        entry = {column.name: getattr(row, column.name) for column in AuditEntry.__table__.columns} | values
    entry["hash"] = seal(entry)
    tamper(domain, "DELETE FROM audit_entry WHERE number = :number", number=number)
    with domain.db.write() as session:
        session.execute(insert(AuditEntry).values(**entry))
    return str(entry["hash"])


def test_an_entry_put_between_others_with_a_right_hash_is_found(domain: Domain) -> None:
    write(domain, 4)
    with domain.db.read() as session:
        hashes = session.scalars(select(AuditEntry.hash).order_by(AuditEntry.number)).all()
    for old in (4, 3):
        tamper(domain, "UPDATE audit_entry SET number = :new WHERE number = :old", old=old, new=old + 1)
    with domain.db.read() as session:
        row = session.scalars(select(AuditEntry).where(AuditEntry.number == 2)).one()
        entry = {column.name: getattr(row, column.name) for column in AuditEntry.__table__.columns}
    entry |= {"number": 3, "actor_name": "eve", "previous_hash": hashes[1]}
    with domain.db.write() as session:
        session.execute(insert(AuditEntry).values(**{**entry, "hash": seal(entry)}))
    assert verdict(domain).faults == [
        "entry 4 does not follow entry 3",
        "entry 4 was changed",
        "entry 5 was changed",
        "the chain should end with entry 4, and ends with entry 5",
    ]


def test_a_chain_written_anew_with_care_shows_against_an_anchor_only(domain: Domain) -> None:
    write(domain, 3)
    anchors = [Anchor(number, entry_hash(domain, number)) for number in (1, 2, 3)]
    previous = entry_hash(domain, 1)
    for number in (2, 3):
        previous = forge(domain, number, previous_hash=previous, actor_name="eve")
    tamper(domain, "UPDATE audit_chain SET hash = :hash", hash=previous)
    assert verdict(domain).is_whole
    assert verdict(domain, anchor=anchors[0]).is_whole
    for number, anchor in ((2, anchors[1]), (3, anchors[2])):
        assert verdict(domain, anchor=anchor).faults == [f"entry {number} is not the one of the anchor"]


def test_a_chain_that_is_gone_shows_against_an_anchor_only(domain: Domain) -> None:
    write(domain, 3)
    anchor = Anchor(3, entry_hash(domain, 3))
    tamper(domain, "DELETE FROM audit_entry")
    assert verdict(domain).faults == ["the chain should end with entry 3, and ends with entry 0"]
    tamper(domain, "DELETE FROM audit_chain")
    assert verdict(domain).is_whole
    assert verdict(domain, anchor=anchor).faults == ["the chain ends before the anchor, which is entry 3"]


def entry_hash(domain: Domain, number: int) -> str:
    with domain.db.read() as session:
        return session.scalars(select(AuditEntry.hash).where(AuditEntry.number == number)).one()


def test_an_end_cut_off_with_care_shows_against_an_anchor_only(domain: Domain) -> None:
    write(domain, 5)
    anchor = Anchor.parse(f"5:{verdict(domain).hash}")
    tamper(domain, "DELETE FROM audit_entry WHERE number > 3")
    hash_of_third = verdict(domain).hash
    tamper(domain, "UPDATE audit_chain SET number = 3, hash = :hash", hash=hash_of_third)
    assert verdict(domain).is_whole
    assert verdict(domain, anchor=anchor).faults == ["the chain ends before the anchor, which is entry 5"]
    write(domain, 2, first=4, caller=BOB)
    assert verdict(domain).is_whole
    assert verdict(domain, anchor=anchor).faults == ["entry 5 is not the one of the anchor"]


@pytest.mark.parametrize("given", ["", "5", "x:" + "0" * 64, "5:abc", ":"])
def test_an_anchor_is_a_number_and_a_hash(given: str) -> None:
    with pytest.raises(InvalidInput, match="NUMBER:HASH"):
        Anchor.parse(given)


def test_writers_at_the_same_time_make_one_chain(domain: Domain) -> None:
    writers = [threading.Thread(target=write, args=(domain, 15), kwargs={"caller": who}) for who in (ANN, BOB, ANN)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = verdict(domain)
    assert (found.faults, found.count) == ([], 45)


def test_what_is_done_at_the_door_is_written_with_who_did_it(domain: Domain) -> None:
    with domain.db.write() as session:
        session.add(User(id="u1", name="ann", created_at=now()))
    task_service.create_instance(domain.rt.by(ANN), "Mine", "mine")
    with domain.db.read() as session:
        entries, _ = list_entries(session, "mine", Wanted(), limit=5)
        assert [(e["action"], e["actor_name"], e["address"]) for e in entries] == [
            ("instance.create", "ann", "192.0.2.1")
        ]
        assert list_scopes(session) == ["mine"]


def test_what_the_system_does_by_itself_is_not_written(domain: Domain) -> None:
    domain.ledger.request_cancel(domain.submit())
    assert prune(domain.rt, "demo", Policy(events=0)).events == 2
    with domain.db.read() as session:
        assert list_scopes(session) == []


def test_lists_are_filtered_and_go_on_where_they_ended(domain: Domain) -> None:
    write(domain, 4)
    began = now()
    write(domain, 3, caller=BOB, first=5)

    def numbers(wanted: Wanted, **more: Any) -> list[int]:
        with domain.db.read() as session:
            return [e["number"] for e in list_entries(session, "demo", wanted, **{"limit": 50, **more})[0]]

    assert numbers(Wanted()) == [7, 6, 5, 4, 3, 2, 1]
    assert numbers(Wanted(actor="bob")) == numbers(Wanted(actor="u2")) == [7, 6, 5]
    assert numbers(Wanted(since=began)) == [7, 6, 5]
    assert numbers(Wanted(until=began)) == [4, 3, 2, 1]
    assert numbers(Wanted(object_id="t2")) == [2]
    assert numbers(Wanted(object_id="t2", action="nothing")) == []
    assert numbers(Wanted(action="task.submit")) == []
    assert numbers(Wanted(action="\x00")) == []
    with domain.db.read() as session:
        _, cursor = list_entries(session, "demo", Wanted(), limit=3)
    assert numbers(Wanted(), cursor=cursor) == [4, 3, 2, 1]
    with pytest.raises(InvalidInput, match="cursor"):
        numbers(Wanted(), cursor="x")


def test_what_was_done_to_one_thing_is_looked_through_in_parts(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LOOK", 4)
    deeds = [AuditRecord("demo", "task.retry" if number % 5 else "task.cancel", "task", "t") for number in range(10)]
    with domain.db.write() as session:
        append(session, ANN, deeds[:3], now())
        append(session, BOB, deeds[3:], now())

    def pages(wanted: Wanted, limit: int = 50) -> list[list[int]]:
        told: list[list[int]] = []
        cursor = None
        while not told or cursor is not None:
            with domain.db.read() as session:
                page, cursor = list_entries(session, "demo", wanted, limit=limit, cursor=cursor)
            told.append([entry["number"] for entry in page])
        return told

    assert pages(Wanted(object_id="t", action="task.cancel")) == [[], [6], [1]]
    assert pages(Wanted(object_id="t", action="task.retry"), limit=2) == [[10, 9], [8, 7], [5, 4], [3, 2]]
    assert pages(Wanted(object_id="t", actor="bob", action="task.cancel")) == [[], [6], []]
    assert pages(Wanted(object_id="t", actor="u2"), limit=3) == [[10, 9, 8], [7, 6, 5], [4], []]
    assert pages(Wanted(object_id="t", actor="nobody")) == [[], [], []]


@pytest.mark.long
def test_a_thousand_refusals_are_a_few_entries(domain: Domain) -> None:
    clock = Clock()
    denials = Denials(domain.db, domain.settings, clock)
    for _ in range(1000):
        denials.note(BOB, "demo", "POST /tasks", "task", "t1")
    for number in range(1000):
        denials.note_failed_login(replace(BOB, address=f"192.0.2.{number}"), f"hunter{number}")
    clock.now += 61
    denials.note(BOB, "demo", "POST /tasks", "task", "t1")
    denials.flush()
    with domain.db.read() as session:
        mine, _ = list_entries(session, "demo", Wanted(), limit=1000)
        logins, _ = list_entries(session, SYSTEM_SCOPE, Wanted(), limit=1000)
    assert [e["detail"].get("more") for e in mine[::-1]] == [None, 999, None]
    assert {e["actor_name"] for e in mine} == {"bob"}
    most = domain.settings.max_refusals
    assert most - 2 <= len(logins) <= most + 2
    assert sum(e["detail"].get("more", 1) for e in logins) == 1000
    assert "hunter" not in str(logins)
    assert verdict(domain).is_whole
    assert verdict(domain, scope=SYSTEM_SCOPE).is_whole
