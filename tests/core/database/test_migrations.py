"""Migrations: up, down and up again on SQLite and PostgreSQL, and in step with the models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database import migrate as module
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.tables.base import Base
from tests.core.domain import Domain
from tests.harness.servers import PostgresServer
from tests.harness.settings import make_settings


@pytest.fixture(
    params=[pytest.param("sqlite", marks=pytest.mark.unit), pytest.param("postgres", marks=pytest.mark.service)]
)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Return the settings of an empty database."""
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
    config.set_main_option("script_location", "swallowtail.app:migrations")
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
    """Migrate from the first revision to the last."""
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


def test_rows_of_older_tables_survive_downgrade_and_upgrade_of_the_last_revision(
    empty: Settings, database: Database
) -> None:
    *older, last = _revisions()
    migrate(empty)
    domain = Domain(empty)
    claim = domain.running()
    domain.perform(claim, "a", {"x": [1, None]}, progress=50)
    domain.failed()
    domain.close()
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
    domain = Domain(empty)
    domain.runs.complete(domain.running(), None)
    assert domain.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0", "COMPLETED"]
    domain.close()


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


def _revision(database: Database) -> str | None:
    with database.read() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def test_a_release_that_is_stopped_between_two_revisions_is_continued_by_the_next(
    empty: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, before, last = _revisions()
    upgrade = module._upgrade

    def stop_at_last(config: Config, scripts: ScriptDirectory, session: Session) -> bool:
        upgraded = upgrade(config, scripts, session)
        if MigrationContext.configure(session.connection()).get_current_revision() == last:
            raise KeyboardInterrupt
        return upgraded

    with monkeypatch.context() as patched:
        patched.setattr(module, "_upgrade", stop_at_last)
        with pytest.raises(KeyboardInterrupt):
            migrate(empty)
    assert _revision(database) == before
    migrate(empty)
    assert _revision(database) == last


@pytest.mark.service
def test_a_migration_of_a_table_in_use_does_not_block_other_transactions(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    settings = make_settings(var_dir=tmp_path, database_url=postgres_server.create_database(), database_wait=0.5)
    database = Database(settings)
    _run(database, command.upgrade, "0016")
    with ExitStack() as held:
        user = held.enter_context(database.engine.connect())
        user.execute(text("SELECT * FROM task"))
        with pytest.raises(Unavailable):
            migrate(settings)
        assert _revision(database) == "0016"
        waiting = threading.Thread(target=migrate, args=[settings.model_copy(update={"database_wait": 600.0})])
        waiting.start()
        # A statement that waited behind the change for longer than its own limit would raise here.
        with database.engine.connect() as other:
            _await_waiting(other)
            other.execute(text("SET lock_timeout = '30s'"))
            other.execute(text("SELECT * FROM task"))
    waiting.join()
    assert _revision(database) == _revisions()[-1]
    database.dispose()


def _await_waiting(connection: Connection) -> None:
    """Wait until another connection waits for a table."""
    asked = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'")
    deadline = time.monotonic() + 60
    while not connection.scalar(asked):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_alembic_command_line_uses_the_database_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", str(tmp_path))
    command.upgrade(_config(), "head")
    database = Database(make_settings(var_dir=tmp_path))
    assert _tables(database) == set(Base.metadata.tables)
    database.dispose()
