"""docs/cli.md describes every command and every exit code."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from swallowtail.scripts.cli.commands import members
from swallowtail.scripts.cli.exit_codes import ExitCode
from swallowtail.scripts.cli.main import app
from tests.cli.command_line import load_commands
from tests.harness.program import ROOT

TEXT = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(group: TyperGroup, prefix: str = "") -> list[str]:
    names = []
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            names += commands(command, f"{prefix}{name} ")
        elif not command.hidden:  # an earlier name of another command
            names.append(f"{prefix}{name}")
    return names


def test_every_command_is_described() -> None:
    missing = [name for name in commands(load_commands()) if f"`{name}`" not in TEXT and f"`{name} " not in TEXT]
    assert missing == []


def test_the_help_of_access_names_tokens_as_the_pages_do() -> None:
    """The help called API tokens by the name of their command."""
    texts = [
        str(command.help) for group in (members.commands, members.token_commands) for command in all_commands(group)
    ]
    assert len(texts) > 5
    assert [text for text in texts if re.search("front-end token", text, re.IGNORECASE)] == []


def all_commands(commands: typer.Typer) -> list[Any]:
    """Return the commands of a group."""
    group = typer.main.get_command(commands)
    assert isinstance(group, TyperGroup)
    return [*group.commands.values()]


@pytest.mark.parametrize("name", commands(load_commands()))
def test_no_help_shows_a_limit_of_the_machine(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert re.findall(r"(?<![-\w])\d{10,}", result.output) == []


def test_every_exit_code_is_described() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)] == sorted(ExitCode)
