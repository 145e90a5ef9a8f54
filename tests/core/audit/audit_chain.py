"""Writes an audit chain, reads its report, and changes its rows as an attacker would."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import insert, select, text

from swallowtail.app.core.audit.reader import verify
from swallowtail.app.core.audit.writer import AuditRecord, append, hash_entry
from swallowtail.app.core.events import now
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.tables.audit import AuditEntry
from tests.core.domain import Domain

ANN = Caller(Actor("user", "u1", "ann", user_id="u1", is_superuser=True), "rest", "192.0.2.1")
BOB = Caller(Actor("user", "u2", "bob", user_id="u2"), "cli")
TRIGGERS = ("audit_entry_no_update", "audit_entry_no_delete", "audit_entry_no_replace")


def write(domain: Domain, count: int, *, caller: Caller = ANN, scope: str = "demo", first: int = 1) -> None:
    for number in range(first, first + count):
        record = AuditRecord(scope, "task.cancel", "task", f"t{number}", {"b": [1, {"z": None, "a": "é"}], "a": 1.5})
        domain.db.run(partial(append, caller=caller, records=[record], at=now()))


def verdict(domain: Domain, **options: Any) -> Any:
    with domain.db.read() as session:
        return verify(session, options.pop("scope", "demo"), **options)


def tamper(domain: Domain, statement: str, **values: Any) -> None:
    """Run a statement as the owner of the database can: without the triggers."""
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


def entry_hash(domain: Domain, number: int) -> str:
    with domain.db.read() as session:
        return session.scalars(select(AuditEntry.hash).where(AuditEntry.number == number)).one()


def forge(domain: Domain, number: int, **values: Any) -> str:
    """Replace an entry by another with a correct hash of its own; return the hash."""
    with domain.db.read() as session:
        row = session.scalars(select(AuditEntry).where(AuditEntry.number == number)).one()
        entry = {column.name: getattr(row, column.name) for column in AuditEntry.__table__.columns} | values
    entry["hash"] = hash_entry(entry)
    tamper(domain, "DELETE FROM audit_entry WHERE number = :number", number=number)
    with domain.db.write() as session:
        session.execute(insert(AuditEntry).values(**entry))
    return str(entry["hash"])
