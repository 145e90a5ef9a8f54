"""A command is imported when it runs: help is fast, and works without the packages of the server."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from swallowtail.scripts.cli import lazy_commands
from swallowtail.scripts.cli.examples import EXAMPLES
from swallowtail.scripts.cli.lazy_commands import CommandEntry
from swallowtail.scripts.cli.main import COMMANDS, PROCESSES, app
from tests.cli.command_line import load_commands
from tests.harness.program import clean_environment

#: Libraries that take long to import or that a light installation lacks.
HEAVY = {"celery", "cryptography", "eventlet", "flask", "httpx2", "kombu", "redis", "socketio", "sqlalchemy"}
METAVARS = (
    "ACT ACTION ARTIFACT CRON DAYS DURATION FIELD FILE INSTANCE KEY KEY=VALUE KIND NAME NUMBER NUMBER:HASH OBJECT "
    "PROFILE ROLE RULE SCHEDULE STATUS SUBJECT TASK TEXT TIME TOKEN URL USER ZONE"
)
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
    assert imported(["--help"], ["--version"]) & {*HEAVY, "pydantic", "rich"} == set()


def test_the_help_of_each_command_imports_no_library_of_the_server() -> None:
    words = [[*name.split(), "--help"] for name in EXAMPLES if COMMANDS[name.split()[0]].section != PROCESSES]
    assert imported(*words) & {*HEAVY, "rich"} == set()


def test_every_command_has_an_example_that_it_accepts() -> None:
    for name, command in all_commands(load_commands()):
        if COMMANDS[name.split()[0]].section == PROCESSES:
            continue
        assert name in EXAMPLES
        assert EXAMPLES[name] in CliRunner().invoke(app, [*name.split(), "--help"]).output
        example = shlex.split(EXAMPLES[name])
        assert example[0] == "swallowtail"
        if example[1:][: len(name.split())] == name.split():
            command.make_context(name, example[1 + len(name.split()) :])


def test_options_and_arguments_take_what_a_short_list_of_words_names() -> None:
    """The same thing had several names: ID, INSTANCE, TEXT."""
    commands = [one for name, one in all_commands(load_commands()) if COMMANDS[name.split()[0]].section != PROCESSES]
    words = {param.metavar for command in commands for param in command.params if not getattr(param, "is_flag", False)}
    assert words <= {*METAVARS.split()}


def all_commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the words and the object of each command, those of groups too."""
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{prefix}{name}", command
            if hasattr(command, "commands"):
                yield from all_commands(command, f"{prefix}{name} ")


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
