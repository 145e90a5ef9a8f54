"""The Procfile is read by name, and errors in it are reported by line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swallowtail.app.core.errors import SettingsError
from swallowtail.scripts.processes.command_lines import MODULES, builtin_commands
from swallowtail.scripts.processes.procfile import check_programs, read_procfile
from tests.harness.program import ROOT


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "Procfile"
    path.write_text(text)
    return path


def test_it_gives_the_commands_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "# processes\n\nweb: serve --port $PORT\n  worker-2:  work: hard\n")
    assert list(read_procfile(path).items()) == [("web", "serve --port $PORT"), ("worker-2", "work: hard")]


@pytest.mark.parametrize("line", ["web", "web:", ": serve", "we b: serve"])
def test_it_names_the_line_that_it_cannot_read(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match="Procfile, line 2: expected"):
        read_procfile(write(tmp_path, f"redis: serve\n{line}\n"))


def test_it_refuses_a_name_that_comes_twice(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="line 2: web is listed twice"):
        read_procfile(write(tmp_path, "web: a\nweb: b\n"))


@pytest.mark.parametrize("command", ["no-such-program --flag", "./missing", "'with space'", "cd /tmp && serve"])
def test_a_program_that_is_not_found_is_named(tmp_path: Path, command: str) -> None:
    path = write(tmp_path, f"release: true\nweb: {command}\n")
    with pytest.raises(
        SettingsError, match=r"^Procfile: web: the program .+ is not found; install it, or write its path"
    ):
        check_programs(path, read_procfile(path), os.defpath)


def test_a_program_without_the_permission_is_named(tmp_path: Path) -> None:
    program = tmp_path / "serve"
    program.touch(mode=0o600)
    path = write(tmp_path, f"web: {program} --port 1\n")
    with pytest.raises(
        SettingsError, match=rf"^Procfile: web: {program} cannot be executed; permit it with chmod \+x$"
    ):
        check_programs(path, read_procfile(path), os.defpath)
    program.chmod(0o700)
    check_programs(path, read_procfile(path), os.defpath)


@pytest.mark.parametrize("command", ["true", "env A=1 serve", "/bin/sh -c 'exit 1'", "$PROGRAM", "~/bin/serve"])
def test_what_a_shell_may_find_is_accepted(tmp_path: Path, command: str) -> None:
    path = write(tmp_path, f"web: {command}\n")
    check_programs(path, read_procfile(path), os.defpath)


def test_a_quote_without_its_end_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "web: serve 'here\n")
    with pytest.raises(SettingsError, match=r"^Procfile: web has a quote without its end$"):
        check_programs(path, read_procfile(path), os.defpath)


def test_our_procfile_has_the_command_of_every_process() -> None:
    assert read_procfile(ROOT / "Procfile") == {name: f"swallowtail {name}" for name in MODULES}
    assert list(builtin_commands()) == list(MODULES)
