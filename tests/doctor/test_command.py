"""The command: what it prints in good and bad states, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from swallowtail.scripts.cli.main import app
from swallowtail.scripts.doctor import command, library_versions
from swallowtail.scripts.doctor.results import Check, CheckResult


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(library_versions, "check_libraries", lambda *names: None)
    logging = structlog.get_config()
    yield tmp_path
    structlog.configure(**logging)


def test_a_folder_without_a_deployment_has_problems_with_remedies_and_stays_empty(folder: Path) -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == [
        "ok       settings",
        "ok       .env",
        "warning  var directory",
        "ok       versions",
        "ok       browser libraries",
        "problem  database",
        "problem  Redis",
        "problem  broker",
        "problem  web",
    ]
    assert sum(line.startswith("         → ") for line in lines) == 5
    assert result.stderr == "4 problems, 1 warning\n"
    assert [*folder.iterdir()] == []


def test_unusable_settings_leave_the_checks_that_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWALLOWTAIL_PORT", "high")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    shown = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["status"], row["check"]) for row in shown] == [
        ("problem", "settings"),
        ("ok", ".env"),
        ("ok", "versions"),
        ("ok", "browser libraries"),
    ]
    assert set(shown[0]) == {"status", "check", "detail", "remedy"}


def test_warnings_alone_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [CheckResult("ok", "one", "fine"), CheckResult("warning", "two", "not\x1b[2J quite", "mend it")]
    monkeypatch.setattr(command, "list_checks", lambda settings: [Check("all", lambda: results)])
    result = CliRunner().invoke(app, ["doctor"])
    assert (result.exit_code, result.stderr) == (0, "0 problems, 1 warning\n")
    assert "\x1b" not in result.stdout
