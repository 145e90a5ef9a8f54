"""Connections to PostgreSQL are reserved for runs: a web process can only use the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from swallowtail.app.core.database.connection_budget import RESERVED
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import Unavailable
from tests.harness.deployment import Deployment
from tests.harness.servers import PostgresServer
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.service

MOST, SUPERUSERS, RESERVE, CALLERS = 30, 3, 12, 40


@pytest.fixture
def small_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer(max_connections=MOST)
    with server.start():
        yield server
    server.discard()


@pytest.mark.long
def test_tasks_run_while_web_callers_have_all_the_connections_they_may(
    small_postgres: PostgresServer, new_deployment: Callable[..., Deployment]
) -> None:
    url = small_postgres.create_database()
    pool_settings = {"database_pool_size": CALLERS, "database_pool_overflow": 0}
    deployment = new_deployment(
        database_url=url, env={**pool_settings, "database_reserve": RESERVE, "database_wait": 3}
    )
    instance = deployment.new_instance()
    web = deployment.start_web()
    page = f"{web.url}/api/v1/instances/{instance}/audit"

    with psycopg.connect(url) as lock, ThreadPoolExecutor(CALLERS) as pool:
        # Only the pages of the audit log wait for this lock, each with a connection.
        lock.execute("LOCK TABLE audit_entry IN ACCESS EXCLUSIVE MODE")
        requests = [pool.submit(httpx2.get, page, timeout=120) for _ in range(CALLERS)]
        wait_until(lambda: any(request.done() for request in requests), "one is refused")
        assert 0 < count_lock_waits(url) <= MOST - SUPERUSERS - RESERVE
        deployment.start_worker()
        task = deployment.submit(instance, "echo", {"message": "hello"})
        assert deployment.wait_for_task(task)["status"] == "COMPLETED"
        lock.rollback()
    refused = [answer for request in requests if (answer := request.result()).status_code == 503]
    assert refused
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert any(RESERVED in answer.text for answer in refused)
    budget = f"of {MOST - SUPERUSERS} connections left, {RESERVE} of them kept for runs; this process has "

    # A write that was refused meanwhile is reported until the next one.
    wait_until(lambda: budget in read_budget(web.url), "readiness reports the budget")
    assert f" of at most {CALLERS}" in read_budget(web.url)


def count_lock_waits(url: str) -> int:
    """Return how many sessions of a server wait for a lock."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
        return 0 if row is None else int(row[0])


def read_budget(web_url: str) -> str:
    """Return what `/readyz` reports of the connections."""
    detail: str = httpx2.get(f"{web_url}/readyz", timeout=30).json()["components"]["database"]["detail"]
    return detail


@pytest.fixture
def role(postgres: str) -> Iterator[str]:
    """The URL of a database for an ordinary role with at most ten connections."""
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("CREATE ROLE ten LOGIN CONNECTION LIMIT 10")
        owner.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO ten"))
    yield make_url(postgres).set(username="ten").render_as_string(hide_password=False)
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("DROP OWNED BY ten")
        owner.execute("DROP ROLE ten")


@pytest.mark.parametrize(("reserve", "gets"), [(0, 10), (3, 7), (500, 5)])
def test_a_process_without_runs_leaves_the_reserve_but_at_most_half_of_few_connections(
    role: str, reserve: int, gets: int
) -> None:
    settings = make_settings(database_url=role, database_reserve=reserve, database_wait=0.2)
    db, runs = Database(settings, for_runs=False), Database(settings)
    held = [db.engine.connect() for _ in range(gets)]
    with pytest.raises(Unavailable), db.read(wait=0.0):
        pass
    held += [runs.engine.connect() for _ in range(10 - gets)]
    for connection in held:
        connection.close()
    # It continues with its open connections.
    with db.read(wait=0.0):
        pass
    db.dispose()
    runs.dispose()


def test_many_reads_at_once_share_the_connections_that_are_left(role: str) -> None:
    db = Database(make_settings(database_url=role, database_reserve=3, database_wait=5), for_runs=False)

    def read(_: int) -> int:
        with db.read(wait=5.0) as session:
            return int(session.connection().exec_driver_sql("SELECT 1 FROM pg_sleep(0.05)").scalar_one())

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(read, range(32))) == [1] * 32
    db.dispose()


def test_sessions_of_other_roles_are_counted(role: str, postgres: str) -> None:
    db = Database(make_settings(database_url=role))
    before = db.read_budget()
    assert before is not None
    with psycopg.connect(postgres, autocommit=True) as owner:
        name = make_url(postgres).database or ""
        owner.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 5").format(sql.Identifier(name)))
        after = db.read_budget()
    assert after is not None
    assert (before.most, after.most) == (10, 5)
    # Its own and those of the owner.
    assert after.left == 3
    db.dispose()
