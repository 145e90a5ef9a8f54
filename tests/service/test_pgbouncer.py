"""PostgreSQL behind PgBouncer in transaction mode, and PostgreSQL without free connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url, text

from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.errors import NotSetUp, Unavailable
from swallowtail.app.core.health import check_database
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import Domain
from tests.harness.closed_objects import closing_all
from tests.harness.servers import PgBouncer, PostgresServer
from tests.harness.settings import make_settings

pytestmark = pytest.mark.service

NewDomain = Callable[..., Domain]
STEPS = 12


@pytest.fixture
def bouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    bouncer = PgBouncer(postgres_server)
    with bouncer.start():
        yield bouncer
    bouncer.discard()


@pytest.fixture
def new_domain_behind(bouncer: PgBouncer, postgres: str) -> Iterator[NewDomain]:
    """Return a factory of domains on an empty database behind PgBouncer."""
    url = bouncer.url(make_url(postgres).database or "")

    def make(driver: PostgresDriver = "psycopg", **values: Any) -> Domain:
        return Domain(make_settings(database_url=url, **values), driver)

    yield from closing_all(make)


def _perform(domain: Domain, fails: list[Exception]) -> None:
    try:
        claim = domain.running()
        for number in range(STEPS):
            domain.perform(claim, f"step {number}")
            domain.runs.heartbeat(claim, 1.0, "")
        domain.runs.complete(claim, {})
    except Exception as fault:
        fails.append(fault)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_runs_complete_behind_pgbouncer_without_prepared_statements(
    new_domain_behind: NewDomain, driver: PostgresDriver
) -> None:
    domain = new_domain_behind(driver, database_prepare_threshold=0)
    fails: list[Exception] = []
    runs = [threading.Thread(target=_perform, args=(domain, fails)) for _ in range(6)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert fails == []
    assert [word for word in domain.story() if word == "COMPLETED"] == ["COMPLETED"] * 6


def test_every_transaction_has_its_limits_on_any_connection(new_domain_behind: NewDomain) -> None:
    domain = new_domain_behind(database_prepare_threshold=0, database_wait=7.0)
    with domain.db.write() as one, domain.db.write() as other:
        for session in (one, other):
            assert session.scalar(text("SHOW lock_timeout")) == "7s"
            assert session.scalar(text("SHOW synchronous_commit")) == "on"
    with domain.db.engine.connect() as connection:
        left = connection.execution_options(postgresql_readonly=True).execute(text("SHOW lock_timeout")).scalar()
        assert left == "0", "the options do not stay on the connections, which others use too"


def test_prepared_statements_behind_pgbouncer_raise_an_error_that_names_the_setting(
    new_domain_behind: NewDomain,
) -> None:
    domain = new_domain_behind(database_prepare_threshold=1, database_wait=1.0)
    fails: list[Exception] = []
    runs = [threading.Thread(target=_perform, args=(domain, fails)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert fails
    assert {type(fault) for fault in fails} <= {NotSetUp, Unavailable}
    assert any("SWALLOWTAIL_DATABASE_PREPARE_THRESHOLD" in str(fault) for fault in fails)


@pytest.fixture
def limited(postgres: str) -> Iterator[str]:
    """The URL of a database for a role with at most five connections, of which three are in use."""
    url = make_url(postgres)
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS few")
        owner.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 5")
        owner.execute(sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO few"))
    yield url.set(username="few").render_as_string(hide_password=False)
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("DROP OWNED BY few")
        owner.execute("DROP ROLE few")


def test_a_server_without_a_connection_left_is_reported_and_leaves_tasks_as_they_are(limited: str) -> None:
    web = Domain(make_settings(database_url=limited, database_spare=3))
    task_id = web.queued()
    with web.db.read(), web.db.read():
        pass
    own = "this process has 2 of at most 20"
    assert check_database(web.rt) == {
        "status": "ok",
        "detail": f"can be read, and has 3 of 5 connections left; {own}",
    }
    others = [psycopg.connect(limited) for _ in range(3)]
    assert check_database(web.rt) == {
        "status": "degraded",
        "detail": f"can be read, but has 0 of 5 connections left; {own}; tasks may wait for one",
    }
    worker = Runtime.build(make_settings(database_url=limited, database_wait=0.3))
    with pytest.raises(Unavailable, match="the database has no connection left"):
        worker.runs.claim(task_id, 1, "worker")
    for other in others:
        other.close()
    assert web.task(task_id).status == TaskStatus.QUEUED
    assert worker.runs.claim(task_id, 1, "worker") is not None
    worker.close()
    web.close()
