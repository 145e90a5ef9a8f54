"""The database alone: transactions, waiting times, and the faults that a retry may solve."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InternalError, OperationalError, ProgrammingError

from swallowtail.app.core.database.database import Database, db_now
from swallowtail.app.core.database.faults import is_transient
from swallowtail.app.core.errors import SettingsError, Unavailable
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.tasks import Task
from tests.core.domain import Domain
from tests.harness.settings import make_settings

NewDomain = Callable[..., Domain]


class Coded(Exception):
    """Return an error of a PostgreSQL driver."""

    def __init__(self, message: str = "", **codes: str) -> None:
        super().__init__(message)
        for name, code in codes.items():
            setattr(self, name, code)


@pytest.mark.parametrize(
    ("kind", "cause", "mendable"),
    [
        (OperationalError, sqlite3.OperationalError("database is locked"), True),
        (OperationalError, sqlite3.OperationalError("database table is locked"), True),
        (OperationalError, sqlite3.OperationalError("no such table: task"), False),
        (OperationalError, sqlite3.OperationalError("disk I/O error"), True),
        (OperationalError, sqlite3.OperationalError("database or disk is full"), True),
        (OperationalError, sqlite3.OperationalError("attempt to write a readonly database"), True),
        (OperationalError, sqlite3.OperationalError("unable to open database file"), True),
        (IntegrityError, sqlite3.IntegrityError("UNIQUE constraint failed: lock.locked"), False),
        (OperationalError, Coded("server closed the connection unexpectedly"), True),
        (OperationalError, Coded("could not connect to server"), True),
        (InterfaceError, Coded("the connection is closed"), False),
        (DBAPIError, Coded(sqlstate="40001"), True),
        (OperationalError, Coded(sqlstate="40P01"), True),
        (OperationalError, Coded(pgcode="55P03"), True),
        (OperationalError, Coded(pgcode="57P01"), True),
        (OperationalError, Coded("closed, locked", sqlstate="42601"), False),
        (OperationalError, Coded(sqlstate="53100"), True),
        (OperationalError, Coded(sqlstate="53200"), True),
        (OperationalError, Coded("FATAL: sorry, too many clients already"), True),
        (InternalError, Coded(sqlstate="25006"), True),
        (OperationalError, Coded(sqlstate="57014"), True),
        (OperationalError, Coded(sqlstate="58030"), True),
        (ProgrammingError, Coded(sqlstate="42P01"), False),
    ],
)
def test_faults_are_classified_as_transient_or_not(kind: Any, cause: Exception, mendable: bool) -> None:
    assert is_transient(kind("statement", {}, cause)) is mendable


def test_a_lost_connection_is_retried_with_any_error_text() -> None:
    assert is_transient(InterfaceError("statement", {}, Coded("?"), connection_invalidated=True))


def test_a_write_is_committed_at_the_end_of_its_block_and_not_when_it_raises(domain: Domain) -> None:
    def rename(name: str, fault: Exception | None = None) -> None:
        with domain.db.write() as session:
            session.get_one(Instance, "demo").name = name
            if fault is not None:
                raise fault

    rename("New")
    with pytest.raises(LookupError):
        rename("Newer", LookupError())
    with domain.db.read() as session:
        assert session.get_one(Instance, "demo").name == "New"


def test_rows_can_be_read_after_their_transaction(domain: Domain) -> None:
    with domain.db.read() as session:
        row = session.get_one(Instance, "demo")
    assert (row.id, row.name) == ("demo", "Demo")


def test_more_transactions_than_connections_are_unavailable_instead_of_endless(new_domain: NewDomain) -> None:
    domain = new_domain(database_wait=0.05)

    def take_many(stack: ExitStack) -> None:
        for _ in range(100):
            stack.enter_context(domain.db.read()).scalar(select(Instance.id))

    with ExitStack() as stack, pytest.raises(Unavailable, match="in use"):
        take_many(stack)
    domain.submit()


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Any) -> None:
    database = Database(make_settings(database_url=f"sqlite:///{tmp_path}/no/such/directory.db", database_wait=0.05))
    with pytest.raises(Unavailable), database.read():
        pass
    with pytest.raises(Unavailable):
        database.run(lambda session: None)
    database.dispose()


def test_the_directory_of_the_embedded_database_is_made(tmp_path: Any) -> None:
    database = Database(make_settings(var_dir=tmp_path / "a" / "b"))
    with database.write() as session:
        session.execute(text("CREATE TABLE t (a)"))
    assert (tmp_path / "a" / "b" / "swallowtail.db").exists()
    database.dispose()


def test_sqlite_keeps_its_promises_to_readers_and_foreign_keys(new_domain: NewDomain) -> None:
    domain = new_domain()
    with domain.db.read() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
    with pytest.raises(IntegrityError), domain.db.write() as session:
        session.execute(
            text("INSERT INTO outbox (task_id, attempt, available_at, sends, created_at) VALUES ('x',1,1,0,1)")
        )


def test_a_missing_driver_is_reported_with_the_setting_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"SWALLOWTAIL_DATABASE_URL: .* pip install 'swallowtail\[postgres\]'"):
        Database(make_settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))


def test_statements_with_the_clock_are_compiled_once_for_all_offsets(domain: Domain) -> None:
    known: dict[Any, Any] = {}
    connection = domain.db.engine.connect().execution_options(compiled_cache=known)
    with connection, connection.begin():
        for offset in (0.0, 1.5, -90.0):
            late = update(Task).where(Task.lease_until < db_now()).values(lease_until=db_now(offset))
            connection.execute(late)
            connection.execute(select(db_now(offset)))
    assert len(known) == 2


def test_the_clock_is_moved_by_its_offset(domain: Domain) -> None:
    with domain.db.read() as session:
        clock, later, sooner = session.execute(select(db_now(), db_now(90.5), db_now(-90.5))).one()
        is_before = session.scalar(select(db_now(-5) < db_now()))
    assert is_before
    assert abs((later - clock).total_seconds() - 90.5) < 5
    assert abs((clock - sooner).total_seconds() - 90.5) < 5
