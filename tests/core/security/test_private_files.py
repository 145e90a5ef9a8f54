"""The var directory and its files are private to the user, for any umask and any earlier mode."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.events import now
from swallowtail.app.core.process.private_files import open_private
from swallowtail.app.core.security.signing_keys import SigningKeys
from swallowtail.app.core.tables.instances import Instance
from tests.harness.program import ROOT, clean_environment
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(directory: Path) -> dict[str, str]:
    """The mode of the directory and of all in it."""
    paths = [directory, *directory.rglob("*")]
    return {str(path.relative_to(directory)): oct(stat.S_IMODE(path.lstat().st_mode)) for path in paths}


def are_private(directory: Path) -> bool:
    """Return whether other users have no permissions."""
    return all(not int(mode, 8) & 0o077 for mode in modes(directory).values())


def use(settings: Settings) -> dict[str, str]:
    """The modes while a database, with what SQLite keeps beside it, is written to."""
    migrate(settings)
    SigningKeys(settings.model_copy(update={"auth": "required"})).check()
    database = Database(settings)
    try:
        with database.write() as session:
            session.add(Instance(id="a", name="A", epoch="e", seq=0, min_seq=0, created_at=now()))
        return modes(settings.var)
    finally:
        database.dispose()


def test_a_new_directory_is_private_with_all_in_it(tmp_path: Path, umask: int) -> None:
    status = use(make_settings(var_dir=tmp_path / "deep" / "var"))
    assert {"swallowtail.db", "swallowtail.db-wal", "swallowtail.db-shm", "secret.key"} <= set(status)
    assert status.pop(".") == "0o700"
    assert set(status.values()) == {"0o600"}


def test_existing_files_become_private(tmp_path: Path, umask: int) -> None:
    var = tmp_path / "var"
    (var / "metrics" / "127.0.0.1-8000").mkdir(parents=True)
    for name in ("swallowtail.db", "redis.conf", "redis.url", "redis.lock", "up.lock", "web.log", "metrics/a.db"):
        (var / name).touch()
        (var / name).chmod(0o666)
    for directory in (var, var / "metrics", var / "metrics" / "127.0.0.1-8000"):
        directory.chmod(0o755)
    use(make_settings(var_dir=var))
    assert are_private(var), modes(var)


def test_a_new_external_database_is_private_and_an_existing_one_keeps_its_mode(tmp_path: Path, umask: int) -> None:
    for name in ("new.db", "known.db"):
        file = tmp_path / name
        if name == "known.db":
            file.touch()
            file.chmod(0o640)
        database = Database(make_settings(var_dir=tmp_path / "var", database_url=f"sqlite:///{file}"))
        with database.engine.connect():
            assert oct(stat.S_IMODE(file.stat().st_mode)) == ("0o600" if name == "new.db" else "0o640")
        database.dispose()


def test_each_further_connection_leaves_the_locks_of_the_others_alone(tmp_path: Path) -> None:
    settings = make_settings(var_dir=tmp_path)
    migrate(settings)
    database = Database(settings)
    # The process that closes the last connection deletes the WAL: another one does so if ours have lost their locks.
    elsewhere = """import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
columns = "id, name, epoch, seq, min_seq, created_at"
connection.execute(f"INSERT INTO instance ({columns}) VALUES (?, 'A', 'e', 0, 0, 0)", sys.argv[2:])
connection.close()"""
    try:
        with database.read() as first, database.read() as second:
            assert [session.scalar(text("SELECT count(*) FROM instance")) for session in (first, second)] == [0, 0]
        inode = (tmp_path / "swallowtail.db-wal").stat().st_ino
        for name in ("a", "b"):
            done = subprocess.run([sys.executable, "-c", elsewhere, str(settings.database_file), name], timeout=60)
            assert done.returncode == 0
            assert (tmp_path / "swallowtail.db-wal").stat().st_ino == inode
        for _ in range(2):
            with database.read() as session:
                assert session.scalars(text("SELECT id FROM instance ORDER BY id")).all() == ["a", "b"]
    finally:
        database.dispose()


def test_the_target_of_a_link_is_unchanged_and_reported(tmp_path: Path) -> None:
    outside = tmp_path / "outside.db"
    outside.touch()
    var = tmp_path / "var"
    var.mkdir()
    (var / "swallowtail.db").symlink_to(outside)
    (var / "web.log").symlink_to(tmp_path / "nowhere")
    for mode in (0o644, 0o600):
        outside.chmod(mode)
        problems = [f"other users can read the target of {var}/swallowtail.db, {outside}"] if mode == 0o644 else []
        assert open_private(var) == problems
        assert stat.S_IMODE(outside.stat().st_mode) == mode


@pytest.mark.parametrize("name", [".", "swallowtail.db", "redis.sock"])
def test_a_file_of_another_user_is_reported_with_any_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / name).touch(mode=0o600)
    own, lstat = os.geteuid(), Path.lstat

    def see(path: Path) -> os.stat_result:
        status = lstat(path)
        owner = own + 1 if path == tmp_path / name else own
        return os.stat_result((*status[:4], owner, *status[5:]))

    monkeypatch.setattr(Path, "lstat", see)
    problems = f"{tmp_path / name} belongs to another user, who can read it with any mode"
    assert open_private(tmp_path) == [problems]


def test_a_world_writable_directory_is_unchanged_and_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with capture_logs() as logs:
        Database(make_settings(var_dir=tmp_path)).dispose()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    assert [entry["event"] for entry in logs] == ["var_not_private"]
    assert "SWALLOWTAIL_VAR_DIR" in logs[0]["reason"]


def test_a_file_that_cannot_be_made_private_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    assert open_private(tmp_path) == [
        f"other users can read {tmp_path}, which cannot be changed: Operation not permitted"
    ]
    monkeypatch.setattr(Path, "chmod", lambda *_, **__: None)
    assert open_private(tmp_path) == [f"other users can read {tmp_path}: its file system stores no modes"]


def test_the_embedded_server_and_its_files_are_private(tmp_path: Path) -> None:
    var = tmp_path / "v"
    var.mkdir(mode=0o755)
    command = ["-c", "import os; os.umask(0); from swallowtail.scripts.processes.embedded_redis import main; main()"]
    server = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=clean_environment({"SWALLOWTAIL_VAR_DIR": str(var)})
    )
    try:
        wait_until((var / "redis.sock").exists, "the server listens")
        assert are_private(var), modes(var)
    finally:
        server.terminate()
        server.wait(60)


@pytest.mark.parametrize("place", ["file", "file/var"])
def test_an_impossible_directory_is_reported_at_once(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^SWALLOWTAIL_VAR_DIR: .* cannot be created"):
        Database(make_settings(var_dir=tmp_path / place))
