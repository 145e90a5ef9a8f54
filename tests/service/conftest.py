"""Domains for the tests with real servers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from swallowtail.app.core.database.migrate import migrate
from tests.core.domain import Domain
from tests.harness.closed_objects import closing_all
from tests.harness.servers import PostgresServer, RedisServer
from tests.harness.settings import make_settings

NewDomain = Callable[..., Domain]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database to copy."""
    directory = tmp_path_factory.mktemp("migrated")
    migrate(make_settings(var_dir=directory))
    return directory / "swallowtail.db"


@pytest.fixture(params=["redis", "rabbit"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of a broker: Redis, then RabbitMQ."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def new_domain(migrated: Path, tmp_path: Path) -> Iterator[NewDomain]:
    """Return a factory of domains on one SQLite database and one queue of the test."""
    shutil.copy(migrated, tmp_path)
    queue = f"test-{uuid4().hex[:12]}"

    def make(**values: object) -> Domain:
        return Domain(make_settings(**{"var_dir": tmp_path, "queue": queue, **values}))

    yield from closing_all(make)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """The URL of a migrated PostgreSQL database."""
    url = postgres_server.create_database()
    migrate(make_settings(database_url=url))
    return url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that this test may stop and start."""
    server = PostgresServer()
    with server.start():
        yield server
    server.discard()


@pytest.fixture
def tcp_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis on a loopback port."""
    server = RedisServer(tmp_path, tcp=True)
    with server.start():
        yield server
