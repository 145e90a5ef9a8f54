"""Acknowledged commits are on the disk: no power failure undoes one, or gives its numbers to other events."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.engines import PostgresDriver
from tests.core.domain import Domain
from tests.harness.settings import make_settings

NewDomain = Callable[..., Domain]

#: What the pragma answers: 1 is NORMAL, 2 is FULL.
FULL, NORMAL = 2, 1


def test_commits_are_on_the_disk_by_default() -> None:
    assert Settings.model_fields["database_sync"].default == "full"


@pytest.mark.parametrize(("sync", "written"), [("full", FULL), ("normal", NORMAL)])
def test_sqlite_writes_each_commit_to_the_disk_on_every_connection(
    new_domain: NewDomain, sync: str, written: int
) -> None:
    domain = new_domain(database_sync=sync)
    with domain.db.write() as writing, domain.db.read() as reading:
        for session in (writing, reading):
            assert session.scalar(text("PRAGMA synchronous")) == written
            for pragma in ("fullfsync", "checkpoint_fullfsync"):
                assert session.scalar(text(f"PRAGMA {pragma}")) == (written == FULL)


@pytest.mark.service
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_postgresql_writes_each_commit_to_the_disk_despite_the_default_of_the_database(
    empty_postgres: str, driver: PostgresDriver
) -> None:
    def set_default(value: str) -> None:
        with psycopg.connect(empty_postgres) as connection:
            name = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(name, value))

    set_default("off")
    try:
        domain = Domain(make_settings(database_url=empty_postgres), driver)
        with domain.db.write() as session:
            assert session.scalar(text("SHOW synchronous_commit")) == "on"
        domain.close()
    finally:
        set_default("on")
