"""Domains for the tests of the core: on SQLite, and on SQLite and PostgreSQL in turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.tables.base import Base
from tests.core.domain import Domain
from tests.harness.closed_objects import closing_all
from tests.harness.servers import PostgresServer
from tests.harness.settings import make_settings

NewDomain = Callable[..., Domain]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a migrated SQLite database; a copy of it is faster than a migration."""
    directory = tmp_path_factory.mktemp("template")
    migrate(make_settings(var_dir=directory))
    return directory


@pytest.fixture(scope="session")
def migrated_postgres(request: pytest.FixtureRequest) -> str:
    """Return the URL of a migrated PostgreSQL database that tests use one after the other."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    migrate(make_settings(database_url=url))
    return url


@pytest.fixture
def empty_postgres(migrated_postgres: str) -> str:
    """Return the same database without rows, which is much faster than a new one."""
    tables = sql.SQL(", ").join(map(sql.Identifier, Base.metadata.tables))
    with psycopg.connect(migrated_postgres) as connection:
        # The audit log refuses TRUNCATE; the owner of the server can do it nevertheless.
        connection.execute("SET session_replication_role = replica")
        connection.execute(sql.SQL("TRUNCATE {}").format(tables))
    return migrated_postgres


@pytest.fixture
def new_domain(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[NewDomain]:
    """Make domains on one migrated SQLite database of this test; they are closed at its end."""
    shutil.copy(sqlite_template / "swallowtail.db", tmp_path)
    yield from _make_domains({"var_dir": tmp_path})


@pytest.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.unit),
        pytest.param("psycopg", marks=pytest.mark.service),
    ]
)
def new_domain_on(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDomain]:
    """Return the same on SQLite and on PostgreSQL in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template") / "swallowtail.db", tmp_path)
        yield from _make_domains({"var_dir": tmp_path})
    else:
        yield from _make_domains({"var_dir": tmp_path, "database_url": request.getfixturevalue("empty_postgres")})


@pytest.fixture
def new_postgres_domain(empty_postgres: str, tmp_path: Path) -> Iterator[NewDomain]:
    """Return the same on PostgreSQL only."""
    yield from _make_domains({"var_dir": tmp_path, "database_url": empty_postgres})


@pytest.fixture
def domain(new_domain_on: NewDomain) -> Domain:
    """Return a domain on SQLite and on PostgreSQL in turn."""
    return new_domain_on()


def _make_domains(place: dict[str, Any]) -> Iterator[NewDomain]:
    def make(**values: Any) -> Domain:
        return Domain(make_settings(**place, **values))

    yield from closing_all(make)
