"""The supervisor reads whether the tables are up to date."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.database.schema_version import is_up_to_date, latest_revision
from tests.harness.settings import make_settings

pytestmark = pytest.mark.unit


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(var_dir=tmp_path)


def test_the_latest_revision_is_the_one_that_a_release_migrates_to() -> None:
    config = Config()
    config.set_main_option("script_location", "swallowtail.app:migrations")
    assert latest_revision() == ScriptDirectory.from_config(config).get_current_head()


def test_a_database_is_up_to_date_once_it_is_migrated(settings: Settings) -> None:
    assert not is_up_to_date(settings)
    migrate(settings)
    assert is_up_to_date(settings)


def test_a_directory_with_any_characters_is_found(tmp_path: Path) -> None:
    strange = tmp_path / "a dir, with %20 & #1?"
    strange.mkdir()
    settings = make_settings(var_dir=strange)
    migrate(settings)
    assert is_up_to_date(settings)


def test_a_database_of_an_earlier_revision_is_not_up_to_date(settings: Settings) -> None:
    migrate(settings)
    with sqlite3.connect(settings.var / "swallowtail.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    assert not is_up_to_date(settings)


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_foreign_file_is_not_up_to_date(settings: Settings, content: bytes) -> None:
    (settings.var / "swallowtail.db").write_bytes(content)
    assert not is_up_to_date(settings)


def test_a_database_that_a_url_names_is_found(tmp_path: Path) -> None:
    settings = make_settings(var_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/of%20its%20own.db")
    migrate(settings)
    assert (tmp_path / "of its own.db").exists()
    assert is_up_to_date(settings)


def test_the_revision_of_a_remote_database_is_unknown(tmp_path: Path) -> None:
    assert not is_up_to_date(make_settings(var_dir=tmp_path, database_url="postgresql://127.0.0.1:1/nothing"))
