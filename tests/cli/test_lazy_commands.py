"""A command is imported when it runs: help is fast, and works without the packages of the server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from swallowtail.scripts.cli import lazy_commands
from swallowtail.scripts.cli.lazy_commands import CommandEntry
from swallowtail.scripts.cli.main import COMMANDS, app
from tests.harness.program import clean_environment

#: Libraries that take long to import or that a light installation lacks.
HEAVY = {"celery", "cryptography", "eventlet", "flask", "kombu", "pydantic", "redis", "rich", "socketio", "sqlalchemy"}
PROGRAM = """
import json, sys
from typer.testing import CliRunner
from swallowtail.scripts.cli.main import app
for arguments in {commands}:
    assert CliRunner().invoke(app, arguments).exit_code == 0, arguments
print(json.dumps(sorted(sys.modules)))
"""


def imported(*commands: list[str]) -> set[str]:
    """Return the libraries that a process imports which runs these commands."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(commands=[*commands])],
        env=clean_environment({}),
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
    )
    return {module.partition(".")[0] for module in json.loads(done.stdout)}


def test_the_help_of_all_commands_imports_no_library_of_the_server() -> None:
    """It took 1.3 s of processor time."""
    assert imported(["--help"], ["--version"]) & HEAVY == set()


def test_help_lists_every_command_below_its_heading() -> None:
    output = CliRunner().invoke(app, ["--help"]).output
    for name, entry in COMMANDS.items():
        assert f"\n  {name} " in output
        assert f"\n{entry.section}:\n" in output


def test_a_missing_package_of_an_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = CommandEntry("cli.nowhere", "command", "Serve.", "Tasks", "server")
    monkeypatch.setitem(COMMANDS, "serve", entry)
    monkeypatch.setitem(lazy_commands._MODULES_OF_EXTRA, "server", ("no_such_package",))
    result = CliRunner().invoke(app, ["serve", "--help"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "swallowtail serve needs the server's packages: pip install 'swallowtail[server]'\n"


def test_a_mistake_in_a_command_is_not_reported_as_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "serve", CommandEntry("cli.nowhere", "command", "Serve.", "Tasks", "server"))
    result = CliRunner().invoke(app, ["serve"])
    assert isinstance(result.exception, ModuleNotFoundError)
