"""A failed sign-in takes the same database work for a known and for an unknown name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, event, select

from swallowtail.app.core.audit.denied_requests import DeniedRequests
from swallowtail.app.core.security.actors import ANONYMOUS, Caller
from swallowtail.app.core.tables.audit import AuditEntry
from tests.identity.bench import Bench

CALLER = Caller(ANONYMOUS, "rest", "192.0.2.7")


@contextmanager
def counting(bench: Bench) -> Iterator[list[str]]:
    """List the transactions that begin: R for reading, W for writing."""
    begun: list[str] = []

    def note(connection: Connection) -> None:
        begun.append("W" if connection.get_execution_options().get("swallowtail_write", True) else "R")

    event.listen(bench.rt.db.engine, "begin", note)
    yield begun
    event.remove(bench.rt.db.engine, "begin", note)


def test_each_name_is_written_at_its_first_try_and_counted_then_known_or_not(bench: Bench) -> None:
    bench.add("bob")
    denials = DeniedRequests(bench.rt.db, bench.rt.settings, clock=lambda: 1000.0)
    work: dict[str, list[str]] = {}
    for name in ("ann", "eve", "bob", "mallory", "ann", "eve", "ANN ", " Eve"):
        with counting(bench) as begun:
            denials.note_failed_login(CALLER, name)
        work.setdefault(name.strip().lower(), []).append("".join(begun))
    assert work == {"ann": ["RW", "R", "R"], "eve": ["RW", "R", "R"], "bob": ["RW"], "mallory": ["RW"]}


def test_an_unknown_name_is_in_no_entry(bench: Bench) -> None:
    denials = DeniedRequests(bench.rt.db, bench.rt.settings)
    for name in ("ann", "eve", "mallory", "eve"):
        denials.note_failed_login(CALLER, name)
    denials.flush()
    with bench.rt.db.read() as session:
        entries = select(AuditEntry.detail).where(AuditEntry.action == "login.failed").order_by(AuditEntry.number)
        assert list(session.scalars(entries)) == [{"name": "ann"}, {}, {}, {"more": 1}]
