"""The verification of an audit chain reports every change of its entries."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from swallowtail.app.core.audit.reader import ChainAnchor
from swallowtail.app.core.audit.writer import BEGINNING, hash_entry
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.tables.audit import AuditEntry
from tests.core.audit.audit_chain import ANN, BOB, entry_hash, forge, tamper, verdict, write
from tests.core.domain import Domain

NewDomain = Callable[..., Domain]


def test_an_unchanged_chain_is_intact(domain: Domain) -> None:
    write(domain, 5)
    report = verdict(domain)
    assert (report.is_whole, report.count, report.number) == (True, 5, 5)
    assert verdict(domain, after=3).count == 2
    assert verdict(domain, anchor=ChainAnchor(report.number, report.hash)).is_whole
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
def test_tampering_is_reported(domain: Domain, what: str) -> None:
    write(domain, 5)
    statement, message = BREAKING[what]
    tamper(domain, statement)
    assert message in verdict(domain).faults


def test_entries_that_change_places_are_reported(domain: Domain) -> None:
    write(domain, 4)
    for old, new in ((2, 99), (3, 2), (99, 3)):
        tamper(domain, "UPDATE audit_entry SET number = :new WHERE number = :old", old=old, new=new)
    faults = verdict(domain).faults
    assert "entry 2 does not follow entry 1" in faults
    assert "entry 2 was changed" in faults


def test_an_inserted_entry_is_reported(domain: Domain) -> None:
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


def test_an_entry_inserted_between_others_with_a_right_hash_is_reported(domain: Domain) -> None:
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
        session.execute(insert(AuditEntry).values(**{**entry, "hash": hash_entry(entry)}))
    assert verdict(domain).faults == [
        "entry 4 does not follow entry 3",
        "entry 4 was changed",
        "entry 5 was changed",
        "the chain should end with entry 4, and ends with entry 5",
    ]


def test_a_consistently_rewritten_chain_is_detected_by_an_anchor_only(domain: Domain) -> None:
    write(domain, 3)
    anchors = [ChainAnchor(number, entry_hash(domain, number)) for number in (1, 2, 3)]
    previous = entry_hash(domain, 1)
    for number in (2, 3):
        previous = forge(domain, number, previous_hash=previous, actor_name="eve")
    tamper(domain, "UPDATE audit_chain SET hash = :hash", hash=previous)
    assert verdict(domain).is_whole
    assert verdict(domain, anchor=anchors[0]).is_whole
    for number, anchor in ((2, anchors[1]), (3, anchors[2])):
        assert verdict(domain, anchor=anchor).faults == [f"entry {number} is not the one of the anchor"]


def test_a_deleted_chain_is_detected_by_an_anchor_only(domain: Domain) -> None:
    write(domain, 3)
    anchor = ChainAnchor(3, entry_hash(domain, 3))
    tamper(domain, "DELETE FROM audit_entry")
    assert verdict(domain).faults == ["the chain should end with entry 3, and ends with entry 0"]
    tamper(domain, "DELETE FROM audit_chain")
    assert verdict(domain).is_whole
    assert verdict(domain, anchor=anchor).faults == ["the chain ends before the anchor, which is entry 3"]


def test_an_end_cut_off_with_care_shows_against_an_anchor_only(domain: Domain) -> None:
    write(domain, 5)
    anchor = ChainAnchor.parse(f"5:{verdict(domain).hash}")
    tamper(domain, "DELETE FROM audit_entry WHERE number > 3")
    hash_of_third = verdict(domain).hash
    tamper(domain, "UPDATE audit_chain SET number = 3, hash = :hash", hash=hash_of_third)
    assert verdict(domain).is_whole
    assert verdict(domain, anchor=anchor).faults == ["the chain ends before the anchor, which is entry 5"]
    write(domain, 2, first=4, caller=BOB)
    assert verdict(domain).is_whole
    assert verdict(domain, anchor=anchor).faults == ["entry 5 is not the one of the anchor"]


@pytest.mark.parametrize("anchor", ["", "5", "x:" + "0" * 64, "5:abc", ":"])
def test_an_anchor_is_a_number_and_a_hash(anchor: str) -> None:
    with pytest.raises(InvalidInput, match="NUMBER:HASH"):
        ChainAnchor.parse(anchor)


def test_writers_at_the_same_time_make_one_chain(domain: Domain) -> None:
    writers = [threading.Thread(target=write, args=(domain, 15), kwargs={"caller": who}) for who in (ANN, BOB, ANN)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    report = verdict(domain)
    assert (report.faults, report.count) == ([], 45)
