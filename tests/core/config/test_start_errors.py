"""Files that cannot be used at the start: each message names the file and the remedy."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

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
    (tmp_path / ".env").touch()
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SettingsError, match=r"\.env cannot be read: Permission denied; permit it, or remove the file$"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("SWALLOWTAIL_PORT 8001", "line 1 sets"),
        ("A=1\n\n\n  SWALLOWTAIL_PORT: 8001\n", "line 4 sets"),
        ("# comment\r\nSWALLOWTAIL_PORT:8001\r\nA=1\r\n", "line 2 sets"),
        ("A='1\n2'\nexport SWALLOWTAIL_QUEUE # later\n", "line 3 sets"),
        ("SWALLOWTAIL_QUEUE='open\nSWALLOWTAIL_PORT=1\nset SWALLOWTAIL_HOST=::1\n", "lines 1, 3 set"),
        ('"SWALLOWTAIL_PORT"=8001\n$SWALLOWTAIL_QUEUE=q\nSWALLOWTAIL-HOST=::1', "lines 1, 2, 3 set"),
        ("<<<<<<< HEAD\nA=1\n", "line 1 sets"),
        ("the settings of another program\n", "line 1 sets"),
    ],
)
def test_lines_of_an_env_file_that_set_nothing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], text: str, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(text.encode())
    assert not is_json()
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert refused.value.message == f"{tmp_path}/.env: {where} nothing; write NAME=value, or # before a comment"
    assert capfd.readouterr() == ("", ""), "only the message names the lines"


def test_lines_that_set_nothing_on_purpose_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWALLOWTAIL_QUEUE", "from-outside")
    text = "\ufeffSWALLOWTAIL_PORT=8001\n\n# comment\nSWALLOWTAIL_QUEUE\nNAME_OF_ANOTHER\nEMPTY=\nwith.dot=1\n"
    (tmp_path / ".env").write_bytes(text.encode())
    settings = load_settings()
    assert (settings.port, settings.queue) == (8001, "from-outside")


def test_a_directory_called_env_is_no_file_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").mkdir()
    assert load_settings().queue == "swallowtail"


def test_a_file_in_place_of_the_var_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(SettingsError, match="cannot be created: a file is in its place; move the file"):
        open_private(tmp_path / "var")


def test_a_user_without_a_home_can_use_a_var_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A container may run as a user that no file of its image names.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    with pytest.raises(RuntimeError):
        Path.home()
    assert open_private(tmp_path / "var") == []


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
