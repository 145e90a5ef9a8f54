"""`swallowtail init` writes a project whose test passes, and replaces no file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from swallowtail.scripts.cli.main import app
from swallowtail.scripts.processes.command_lines import MODULES
from swallowtail.scripts.processes.new_project import FILES
from swallowtail.scripts.processes.procfile import read_procfile
from swallowtail.workers.registry.catalogue import load_agents
from tests.harness.program import clean_environment
from tests.harness.settings import make_settings

pytestmark = pytest.mark.unit


def init(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


def test_it_writes_the_files_and_prints_the_next_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = init("mine")
    assert result.exit_code == 0
    assert {path.name: path.read_text() for path in (tmp_path / "mine").iterdir()} == FILES
    assert "  cd mine\n  swallowtail dev " in result.output
    assert read_procfile(tmp_path / "mine" / "Procfile") == {name: f"swallowtail {name}" for name in MODULES}


@pytest.mark.parametrize("name", FILES)
def test_it_replaces_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    result = init(str(tmp_path))
    assert result.exit_code == 7
    assert f"{tmp_path / name} exists, so nothing was written" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = init(str(tmp_path / "mine"))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path / 'mine'} cannot be written: File exists" in result.stderr


def test_its_test_passes_and_its_agent_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert init(str(tmp_path)).exit_code == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "-c", "/dev/null"],
        cwd=tmp_path,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "agents", raising=False)
    try:
        assert load_agents(make_settings())["greeting"].title == "Greeting"
    finally:
        sys.modules.pop("agents", None)
