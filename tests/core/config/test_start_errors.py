"""Files that cannot be used at the start: each message names the file and the remedy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swallowtail.app.core.config import environment
from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.logs.unlogged_output import is_json
from swallowtail.app.core.process.private_files import open_private
from tests.harness.settings import make_settings


def test_an_env_file_that_is_not_utf_8_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    assert not is_json()
    with pytest.raises(SettingsError, match=rf"^{tmp_path}/\.env is not UTF-8 at byte 2: save it as UTF-8$"):
        load_settings()


def test_an_env_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "dotenv_values", refuse)
    with pytest.raises(SettingsError, match=r"\.env cannot be read: Permission denied; permit it, or remove the file$"):
        load_settings()


def test_a_file_in_place_of_the_var_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(SettingsError, match="cannot be created: a file is in its place; move the file"):
        open_private(tmp_path / "var")


def test_a_var_directory_without_write_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The superuser, who runs tests in containers, may write everywhere.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SettingsError, match=f"SWALLOWTAIL_VAR_DIR: this user cannot write to {tmp_path}; permit it"):
        open_private(tmp_path)


def break_text(file: Path) -> None:
    file.write_text("no database, and longer than the header of one " * 10)


def read_from(var: Path) -> None:
    database = Database(make_settings(var_dir=var))
    try:
        with database.read() as session:
            session.connection()
    finally:
        database.dispose()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(Path.mkdir, "is a directory, not a database"), (break_text, "is not an SQLite database: move the file")],
)
def test_a_database_that_is_none_is_named(tmp_path: Path, spoil: Callable[[Path], None], reason: str) -> None:
    file = tmp_path / "swallowtail.db"
    spoil(file)
    with pytest.raises(SettingsError, match=reason) as refused:
        read_from(tmp_path)
    assert refused.value.message.startswith(str(file))
    assert refused.value.message.endswith("set SWALLOWTAIL_DATABASE_URL")
