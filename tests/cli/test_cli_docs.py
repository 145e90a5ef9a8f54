"""docs/cli.md describes every command and every exit code."""

from __future__ import annotations

import re

import typer.main
from typer.core import TyperGroup

from swallowtail.scripts.cli.exit_codes import ExitCode
from swallowtail.scripts.enqueue import app
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
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    missing = [name for name in commands(group) if f"`{name}" not in TEXT]
    assert missing == []


def test_every_exit_code_is_described() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)] == sorted(ExitCode)
