"""Versions of Python and of the libraries, their private names, and the files of the browser."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.errors import SettingsError
from swallowtail.scripts.doctor import library_versions
from swallowtail.scripts.doctor.library_versions import check_browser_files, check_versions


@pytest.fixture(autouse=True)
def no_private_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import no library: tests of `library_check` do so."""
    monkeypatch.setattr(library_versions, "check_libraries", lambda *names: None)


def pretend(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], supported: list[str]) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(library_versions, "version", version)
    monkeypatch.setattr(library_versions, "requires", lambda name: supported)


def test_this_installation_is_in_its_ranges() -> None:
    assert [result.status for result in check_versions()] == ["ok"]


def test_missing_and_unsupported_libraries_are_reported_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"swallowtail": "1", "celery": "4.4", "typer": "1.0", "openai": "0.1"}
    supported = [
        "typer >=0.20",
        'celery >=5.4,<5.8; extra == "server"',
        'flask >=3; extra == "server"',
        'psycopg >=3; extra == "postgres"',
        'openai >=2; extra == "openai"',
    ]
    pretend(monkeypatch, installed, supported)
    results = [*check_versions()]
    assert [(result.status, result.detail) for result in results] == [
        ("warning", "celery 4.4 is outside of <5.8,>=5.4"),
        ("problem", "flask is not installed"),
        ("warning", "openai 0.1 is outside of >=2"),
    ]
    assert results[1].remedy == "pip install 'flask>=3'"


def test_a_library_without_a_private_name_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: Any) -> None:
        raise SettingsError("kombu 9 has no Channel._size, which Swallowtail uses: install another version of it")

    monkeypatch.setattr(library_versions, "check_libraries", refuse)
    assert [result.status for result in check_versions()] == ["ok", "problem"]


def test_missing_files_of_the_browser_are_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [result.status for result in check_browser_files()] == ["ok"]
    monkeypatch.setattr(library_versions, "files", lambda package: tmp_path)
    (result,) = check_browser_files()
    assert (result.status, "./scripts/prepare" in result.remedy) == ("problem", True)
