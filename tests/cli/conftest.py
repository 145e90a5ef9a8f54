"""A command line with required sign-in, and one where the superuser `boss` is signed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, open_command_line
from tests.identity.bench import PASSWORD

#: The name of the profile that a login without options makes.
LOCAL = "127.0.0.1:8000"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """A command line with required sign-in."""
    for name, value in {"AUTH": "required", "PASSWORD_MEMORY_KIB": "8", "PASSWORD_ROUNDS": "1"}.items():
        monkeypatch.setenv(f"SWALLOWTAIL_{name}", value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with open_command_line(tmp_path, monkeypatch) as cli:
        yield cli


@pytest.fixture
def boss(cli: CommandLine) -> CommandLine:
    """The same, with the superuser `boss` signed in."""
    assert cli.run("users", "create", "boss", "--superuser", stdin=PASSWORD + "\n").exit_code == 0
    assert cli.run("login", "--user", "boss", stdin=PASSWORD + "\n").exit_code == 0
    return cli
