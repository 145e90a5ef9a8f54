"""Stages for the tests of the core: on SQLite, and on SQLite and PostgreSQL in turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.migrate import migrate
from tests.core.stage import Stage, make_settings
from tests.harness.servers import PostgresServer

NewStage = Callable[..., Stage]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a migrated SQLite database; copying it is faster than migrating."""
    directory = tmp_path_factory.mktemp("template")
    migrate(make_settings(var_dir=directory))
    return directory


@pytest.fixture(scope="session")
def postgres_template(request: pytest.FixtureRequest) -> str:
    """The name of a migrated PostgreSQL database to copy."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    migrate(make_settings(database_url=url))
    return url.rpartition("/")[2]


@pytest.fixture
def new_stage(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[NewStage]:
    """Make stages on a migrated SQLite database of this test's own, all on the same one; they are closed at its end."""
    shutil.copy(sqlite_template / "swallowtail.db", tmp_path)
    yield from _make_stages({"var_dir": tmp_path})


@pytest.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.unit),
        pytest.param("psycopg", marks=pytest.mark.service),
    ]
)
def new_stage_on(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewStage]:
    """Do the same on SQLite and on PostgreSQL in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template") / "swallowtail.db", tmp_path)
        yield from _make_stages({"var_dir": tmp_path})
    else:
        template = request.getfixturevalue("postgres_template")
        url = request.getfixturevalue("postgres_server").create_database(template)
        yield from _make_stages({"var_dir": tmp_path, "database_url": url})


@pytest.fixture
def new_postgres_stage(postgres_template: str, postgres_server: PostgresServer, tmp_path: Path) -> Iterator[NewStage]:
    """Do the same on PostgreSQL only."""
    yield from _make_stages({"var_dir": tmp_path, "database_url": postgres_server.create_database(postgres_template)})


@pytest.fixture
def stage(new_stage_on: NewStage) -> Stage:
    """A stage on SQLite and on PostgreSQL in turn."""
    return new_stage_on()


@pytest.fixture
def sqlite_stage(new_stage: NewStage) -> Stage:
    """A stage on SQLite only."""
    return new_stage()


def _make_stages(place: dict[str, Any]) -> Iterator[NewStage]:
    stages: list[Stage] = []

    def make(**values: Any) -> Stage:
        stages.append(Stage(make_settings(**place, **values)))
        return stages[-1]

    yield make
    for made in stages:
        made.close()
