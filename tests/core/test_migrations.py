"""Migrations: up, down and up again on SQLite and PostgreSQL, and in step with the models."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from app.core.db import Database
from app.core.migrate import migrate
from app.core.models import Base
from app.core.settings import Settings
from tests.core.stage import Stage, make_settings


@pytest.fixture(
    params=[pytest.param("sqlite", marks=pytest.mark.unit), pytest.param("postgres", marks=pytest.mark.service)]
)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of an empty database."""
    if request.param == "sqlite":
        return make_settings(var_dir=tmp_path)
    return make_settings(var_dir=tmp_path, database_url=request.getfixturevalue("postgres_server").create_database())


@pytest.fixture
def database(empty: Settings) -> Iterator[Database]:
    database = Database(empty)
    yield database
    database.dispose()


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "app:migrations")
    return config


def _run(database: Database, what: Any, revision: str) -> None:
    with database.write() as session:
        what(_config(session.connection()), revision)


def _tables(database: Database) -> set[str]:
    with database.read() as session:
        return set(inspect(session.connection()).get_table_names()) - {"alembic_version"}


def _rows(database: Database, tables: set[str]) -> dict[str, list[Any]]:
    with database.read() as session:
        return {
            table: sorted(map(repr, session.execute(text(f"SELECT * FROM {table}")).mappings()))
            for table in sorted(tables)
        }


def _revisions() -> list[str]:
    """From the first to the last."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def test_revisions_are_a_line_and_named_by_their_files() -> None:
    directory = ScriptDirectory.from_config(_config())
    assert len(directory.get_heads()) == 1
    for revision in _revisions():
        assert Path(directory.get_revision(revision).path).name.startswith(f"{revision}_")


def test_models_and_migrations_agree(empty: Settings, database: Database) -> None:
    migrate(empty)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
    assert _tables(database) == set(Base.metadata.tables)


def test_a_release_may_migrate_again(empty: Settings, database: Database) -> None:
    migrate(empty)
    migrate(empty)
    assert _tables(database) == set(Base.metadata.tables)


def test_every_revision_goes_up_and_down_and_up_again(database: Database) -> None:
    before: list[set[str]] = []
    for revision in _revisions():
        before.append(_tables(database))
        _run(database, command.upgrade, revision)
        _run(database, command.downgrade, "-1")
        assert _tables(database) == before[-1]
        _run(database, command.upgrade, revision)
    for tables in before[::-1]:
        _run(database, command.downgrade, "-1")
        assert _tables(database) == tables
    assert _tables(database) == set()


def test_what_older_tables_hold_survives_the_last_revisions_way_down_and_up(
    empty: Settings, database: Database
) -> None:
    *older, last = _revisions()
    migrate(empty)
    stage = Stage(empty)
    claim = stage.running()
    stage.perform(claim, "a", {"x": [1, None]}, progress=50)
    stage.failed()
    stage.close()
    full = _rows(database, set(Base.metadata.tables))
    _run(database, command.downgrade, "-1")
    kept = _tables(database)
    _run(database, command.upgrade, last)
    again = _rows(database, set(Base.metadata.tables))
    for table in Base.metadata.tables:
        if table in kept:
            assert len(again[table]) == len(full[table])
        else:
            assert again[table] == []
    assert bool(kept) == bool(older)


def test_a_domain_lives_on_a_database_that_went_down_and_up(empty: Settings, database: Database) -> None:
    migrate(empty)
    _run(database, command.downgrade, "base")
    _run(database, command.upgrade, "head")
    stage = Stage(empty)
    stage.runs.complete(stage.running(), None)
    assert stage.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0", "COMPLETED"]
    stage.close()


def _indexes(database: Database, table: str) -> set[str | None]:
    with database.read() as session:
        return {index["name"] for index in inspect(session.connection()).get_indexes(table)}


def test_the_index_of_revoked_tokens_comes_and_goes_with_its_revision(database: Database) -> None:
    name = "ix_access_token_revoked_at"
    _run(database, command.upgrade, "0006")
    without = _indexes(database, "access_token")
    _run(database, command.upgrade, "0007")
    assert _indexes(database, "access_token") == {*without, name} != without
    _run(database, command.downgrade, "0006")
    assert _indexes(database, "access_token") == without


def test_two_releases_at_once_take_turns(empty: Settings, database: Database) -> None:
    faults: list[BaseException] = []

    def release() -> None:
        try:
            migrate(empty)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=release) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert _tables(database) == set(Base.metadata.tables)


def test_the_alembic_command_line_uses_the_database_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", str(tmp_path))
    command.upgrade(_config(), "head")
    database = Database(make_settings(var_dir=tmp_path))
    assert _tables(database) == set(Base.metadata.tables)
    database.dispose()
