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

MOST, SUPERUSERS, RESERVE, CROWD = 30, 3, 12, 40


@pytest.fixture
def small_postgres() -> Iterator[PostgresServer]:
    server = PostgresServer(max_connections=MOST)
    with server.start():
        yield server
    server.discard()


@pytest.mark.long
def test_tasks_run_while_a_crowd_has_all_the_connections_it_may(
    small_postgres: PostgresServer, new_deployment: Callable[..., Deployment]
) -> None:
    url = small_postgres.create_database()
    deployment = new_deployment(
        database_url=url,
        env={"database_pool_size": CROWD, "database_pool_overflow": 0, "database_reserve": RESERVE, "database_wait": 3},
    )
    instance = deployment.new_instance()
    web = deployment.start_web()
    page = f"{web.url}/api/v1/instances/{instance}/audit"

    with psycopg.connect(url) as lock, ThreadPoolExecutor(CROWD) as pool:
        # Only the pages of the audit log wait for this lock, each with a connection.
        lock.execute("LOCK TABLE audit_entry IN ACCESS EXCLUSIVE MODE")
        asked = [pool.submit(httpx2.get, page, timeout=120) for _ in range(CROWD)]
        with psycopg.connect(url, autocommit=True) as watch:

            def wait_for_lock() -> int:
                query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                return int(watch.execute(query).fetchone()[0])  # type: ignore[index]

            wait_until(lambda: any(answer.done() for answer in asked), "one is sent away")
            assert 0 < wait_for_lock() <= MOST - SUPERUSERS - RESERVE
            deployment.start_worker()
            task = deployment.submit(instance, "echo", {"message": "hello"})
            assert deployment.wait_for_task(task)["status"] == "COMPLETED"
        lock.rollback()
    answers = [answer.result() for answer in asked]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert any(RESERVED in answer.text for answer in refused)
    told = f"of {MOST - SUPERUSERS} connections left, {RESERVE} of them kept for runs; this process has "

    def ready() -> str:
        detail: str = httpx2.get(f"{web.url}/readyz", timeout=30).json()["components"]["database"]["detail"]
        return detail

    # A write that was refused meanwhile is reported until the next one.
    wait_until(lambda: told in ready(), "readiness tells the budget", seen=ready)
    assert f" of at most {CROWD}" in ready()


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
def test_a_process_without_runs_leaves_what_is_kept_and_of_few_at_most_half(role: str, reserve: int, gets: int) -> None:
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


def test_of_many_connections_that_are_opened_at_once_as_many_are_kept_as_may_be(role: str) -> None:
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
