"""The database is locked, unavailable or restarted: writes wait for a limited time, and reads see one snapshot."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import select, text
from sqlalchemy.exc import InvalidRequestError

from swallowtail.app.core.database.database import Database, db_now
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.event_log import read_head
from swallowtail.app.core.tables.tasks import Task
from tests.core.domain import Domain
from tests.harness.closed_objects import closing_all
from tests.harness.program import ROOT
from tests.harness.servers import PostgresServer
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.service

NewDomain = Callable[..., Domain]
DRIVERS: tuple[PostgresDriver, ...] = ("psycopg", "psycopg2")

#: Program that holds a database's write lock until its input ends.
HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.fixture(params=["sqlite", *DRIVERS])
def on(request: pytest.FixtureRequest, new_domain: NewDomain) -> Iterator[Callable[..., Domain]]:
    """Return a factory of domains on SQLite, and on PostgreSQL with each driver."""
    if request.param == "sqlite":
        yield new_domain
        return
    url, make = request.getfixturevalue("postgres"), request.getfixturevalue("domain_on")
    yield lambda **values: make(url, request.param, **values)


@pytest.fixture
def domain_on() -> Iterator[Callable[..., Domain]]:
    """Return a factory of domains on a PostgreSQL database with one driver."""

    def make(url: str, driver: PostgresDriver, **values: Any) -> Domain:
        return Domain(make_settings(database_url=url, **values), driver)

    yield from closing_all(make)


def _lock_sqlite(domain: Domain) -> subprocess.Popen[str]:
    path = str(domain.settings.var / "swallowtail.db")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    return holder


def _release(holder: subprocess.Popen[str]) -> None:
    holder.communicate()
    assert holder.returncode == 0


def test_a_write_waits_for_the_lock_of_another_process(new_domain: NewDomain) -> None:
    domain = new_domain()
    holder = _lock_sqlite(domain)
    done = threading.Event()

    def write() -> None:
        domain.submit()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert not done.wait(0.3), "the lock is held"
    with domain.db.read() as session:
        assert session.scalars(select(Task)).all() == [], "reads do not wait"
    _release(holder)
    assert done.wait(60)
    writer.join()
    assert domain.story() == ["SUBMITTED"]


def test_a_lock_that_is_held_too_long_is_unavailable_and_leaves_nothing(new_domain: NewDomain) -> None:
    domain = new_domain(database_wait=0.3)
    holder = _lock_sqlite(domain)
    with pytest.raises(Unavailable):
        domain.submit()
    with pytest.raises(Unavailable), domain.db.write():
        pass
    _release(holder)
    assert domain.story() == []
    domain.submit()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_write_waits_for_a_row_that_another_transaction_locks(
    postgres: str, domain_on: Callable[..., Domain], driver: PostgresDriver
) -> None:
    domain = domain_on(postgres, driver)
    claim = domain.running()
    with psycopg.connect(postgres) as holder:
        holder.execute("SELECT * FROM task FOR UPDATE")
        writer = threading.Thread(target=domain.runs.complete, args=(claim, None))
        writer.start()
        wait_until(lambda: _is_waiting(postgres), "the write waits for the row")
    writer.join()
    assert domain.story(after=3) == ["COMPLETED"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_row_that_is_locked_too_long_is_unavailable(
    postgres: str, domain_on: Callable[..., Domain], driver: PostgresDriver
) -> None:
    domain = domain_on(postgres, driver, database_wait=0.3)
    claim = domain.running()
    with psycopg.connect(postgres) as holder:
        holder.execute("SELECT * FROM task FOR UPDATE")
        with pytest.raises(Unavailable):
            domain.runs.complete(claim, None)
    domain.runs.complete(claim, None)
    assert domain.story(after=3) == ["COMPLETED"]


def _is_waiting(url: str) -> bool:
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        row = connection.execute(query).fetchone()
        return row is not None and row[0] > 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_postgres_may_be_restarted_under_a_writer(
    own_postgres: PostgresServer, domain_on: Callable[..., Domain], driver: PostgresDriver
) -> None:
    url = own_postgres.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        # With its own setting, the test server would lose the last commits when it is killed.
        name = url.rpartition("/")[2]
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = on").format(sql.Identifier(name)))
    migrate(make_settings(database_url=url))
    domain = domain_on(url, driver)
    done: list[str] = []
    stopping = threading.Event()

    def write() -> None:
        while not stopping.is_set():
            claim = domain.running()
            domain.perform(claim, "a", progress=50)
            domain.runs.complete(claim, None)
            done.append(claim.task_id)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(2):
        before = len(done)
        wait_until(lambda before=before: len(done) > before + 1, "it writes")  # type: ignore[misc]
        own_postgres.kill()
        own_postgres.start()
    before = len(done)
    wait_until(lambda: len(done) > before + 1, "it writes again")
    stopping.set()
    writer.join(timeout=60)
    assert not writer.is_alive()
    assert {domain.task(task_id).status for task_id in done} == {"COMPLETED"}
    events = domain.events()
    # After a lost connection, either the whole task was committed or nothing of it.
    assert len(events) == 7 * len(done)
    assert [event.seq for event in domain.announced] == [event.seq for event in events]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_read_that_loses_its_database_is_unavailable(own_postgres: PostgresServer, driver: PostgresDriver) -> None:
    database = Database(make_settings(database_url=own_postgres.url(), database_wait=0.3), driver)

    def read() -> None:
        with database.read() as session:
            session.execute(text("SELECT 1"))
            own_postgres.kill()
            session.execute(text("SELECT 1"))

    with pytest.raises(Unavailable):
        read()
    with pytest.raises(Unavailable), database.read():
        pass
    with pytest.raises(Unavailable), database.write():
        pass
    own_postgres.start()
    with database.read() as session:
        assert session.scalar(text("SELECT 1")) == 1
    database.dispose()


def test_a_read_sees_one_snapshot_while_others_write(on: Callable[..., Domain]) -> None:
    domain = on()
    first = domain.submit()
    with domain.db.read() as session:
        head = read_head(session, "demo")
        assert head is not None
        second = domain.submit()
        domain.ledger.mark_queued(first, 1, 1.0)
        assert [row.status for row in session.scalars(select(Task))] == ["SUBMITTED"]
        assert read_head(session, "demo") == head
        assert session.get(Task, second) is None
    with domain.db.read() as session:
        later = read_head(session, "demo")
    assert (head.seq, later and later.seq) == (1, 3)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_read_of_postgres_cannot_write(
    postgres: str, domain_on: Callable[..., Domain], driver: PostgresDriver
) -> None:
    domain = domain_on(postgres, driver)
    domain.submit()
    with pytest.raises(InvalidRequestError, match="read-only"), domain.db.read() as session:
        session.execute(text("DELETE FROM event"))
    with pytest.raises(InvalidRequestError, match="read-only"):
        domain.db.run(lambda session: session.execute(text("DELETE FROM event")), write=False)
    assert domain.story() == ["SUBMITTED"]
    assert domain.db.write_fault is None, "a wrong statement of ours is no fault of the database"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_database_that_is_read_only_takes_no_writes_and_can_be_read(postgres: str, driver: PostgresDriver) -> None:
    with psycopg.connect(postgres) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
    database = Database(make_settings(database_url=postgres, database_wait=0.1), driver)
    with pytest.raises(Unavailable, match="takes no writes"), database.write() as session:
        session.execute(text("DELETE FROM event"))
    assert database.write_fault == "the database takes no writes"
    with database.read() as session:
        assert session.scalars(select(Task)).all() == []
    database.dispose()


def test_the_databases_clock_is_in_utc_and_offsets_are_seconds(on: Callable[..., Domain]) -> None:
    domain = on()
    before = now()
    with domain.db.read() as session:
        clock, later, sooner = session.execute(select(db_now(), db_now(90.5), db_now(-90.5))).one()
    after = now()
    # SQLite's clock counts milliseconds.
    assert (before - clock).total_seconds() < 0.01
    assert (clock - after).total_seconds() < 0.01
    assert 90.5 <= (later - clock).total_seconds() < 100.0
    assert -90.5 <= (sooner - clock).total_seconds() < -80.0
    assert clock.tzinfo is not None


def test_the_clock_is_read_each_time(on: Callable[..., Domain]) -> None:
    domain = on()

    def clock() -> Any:
        with domain.db.read() as session:
            return session.scalar(select(db_now()))

    first = clock()
    wait_until(lambda: clock() > first, "time passes")


def test_moments_come_back_to_the_microsecond_and_naive_ones_are_refused(on: Callable[..., Domain]) -> None:
    domain = on()
    moment = now().replace(microsecond=123457)
    task_id = domain.submit(expires_at=moment)
    assert domain.task(task_id).expires_at == moment
    with pytest.raises(Exception, match="naive"):
        domain.submit(expires_at=moment.replace(tzinfo=None))
    assert domain.story() == ["SUBMITTED"]
