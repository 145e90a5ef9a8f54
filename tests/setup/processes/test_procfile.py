"""The Procfile is read by name, and errors in it are reported by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from swallowtail.app.core.errors import SettingsError
from swallowtail.scripts.processes.command_lines import MODULES, builtin_commands
from swallowtail.scripts.processes.procfile import read_procfile
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


def test_our_procfile_has_the_command_of_every_process() -> None:
    assert read_procfile(ROOT / "Procfile") == {name: f"swallowtail {name}" for name in MODULES}
    assert list(builtin_commands()) == list(MODULES)
