"""Settings, `.env` and the var directory: each fault with its variable, line or path."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from swallowtail.scripts.doctor import settings_check
from swallowtail.scripts.doctor.settings_check import check_env_file, check_var, read_settings
from tests.harness.settings import make_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_setting_that_cannot_be_used_is_a_problem_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PORT": "high", "LEASE_SECONDS": "-1", "REDS_URL": "redis://user:pass@host"}.items():
        monkeypatch.setenv(f"SWALLOWTAIL_{name}", value)
    settings, results = read_settings()
    assert settings is None
    assert {result.status for result in results} == {"problem"}
    assert {result.detail.split(":")[0] for result in results} == {
        "SWALLOWTAIL_LEASE_SECONDS",
        "SWALLOWTAIL_PORT (or PORT)",
        "SWALLOWTAIL_REDS_URL",
    }
    assert "did you mean SWALLOWTAIL_REDIS_URL?" in results[-1].detail
    assert "pass" not in str(results)


def test_settings_that_can_be_used_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWALLOWTAIL_QUEUE", "other")
    settings, results = read_settings()
    assert settings is not None
    (result,) = results
    assert (result.status, result.detail.partition(" set; ")[2]) == ("ok", "anyone on this machine has full access")


def test_a_folder_without_an_env_file_is_fine() -> None:
    assert [result.status for result in check_env_file()] == ["ok"]


def test_an_env_file_is_counted_and_what_overrides_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.joinpath(".env").write_text("SWALLOWTAIL_PORT=8001\nnot = a = line\nSWALLOWTAIL_QUEUE=q\n")
    monkeypatch.setenv("SWALLOWTAIL_QUEUE", "other")
    results = [*check_env_file()]
    assert [result.status for result in results] == ["warning", "ok"]
    assert results[0].detail == "the environment overrides SWALLOWTAIL_QUEUE"


def test_a_line_of_an_env_file_that_sets_nothing_is_a_problem(folder: Path) -> None:
    folder.joinpath(".env").write_text("SWALLOWTAIL_PORT=8001\n'\nSWALLOWTAIL_QUEUE=q\n")
    (result,) = check_env_file()
    assert (result.status, result.detail.partition(";")[0]) == ("problem", f"{folder}/.env: line 2 sets nothing")


def test_an_env_file_that_is_not_utf_8_is_a_problem(folder: Path) -> None:
    folder.joinpath(".env").write_bytes(b"SWALLOWTAIL_QUEUE=caf\xe9\n")
    (result,) = check_env_file()
    assert result.status == "problem"
    assert result.detail == f"{folder / '.env'} is not UTF-8 at byte 21: save it as UTF-8"
    settings, results = read_settings()
    assert settings is None
    assert [result.status for result in results] == ["problem"]


def test_a_var_directory_that_does_not_exist_yet_is_a_warning(folder: Path) -> None:
    (result,) = check_var(make_settings(var_dir=folder / "new" / "var"))
    assert (result.status, result.remedy) == ("warning", "swallowtail release creates it")
    assert not (folder / "new").exists()


def test_a_file_in_place_of_the_var_directory_is_a_problem(folder: Path) -> None:
    folder.joinpath("var").write_text("")
    (result,) = check_var(make_settings(var_dir=folder / "var"))
    assert result.status == "problem"
    assert str(folder / "var") in result.detail


def test_a_nearly_full_disk_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = check_var(make_settings(var_dir=folder))
    assert result.status == "ok"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=settings_check._LITTLE_SPACE - 1))
    (result,) = check_var(make_settings(var_dir=folder))
    assert (result.status, result.detail) == ("warning", f"{folder} has 199 MB of free space left")
