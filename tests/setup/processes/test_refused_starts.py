"""A process that cannot start prints one line with the file and the remedy, and exits with an error code."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from swallowtail.app.core.process.python_command import python_command
from swallowtail.scripts.processes.command_lines import DEV, MODULES, UP, command_line
from tests.harness.program import clean_environment

pytestmark = [pytest.mark.journey, pytest.mark.long]


def start(folder: Path, name: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a process that is expected to refuse. Returns its exit code and its output."""
    command = {"up": python_command(UP), "dev": python_command(DEV)}.get(name) or command_line(name)
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment({"SWALLOWTAIL_DATABASE_WAIT": "1", **(env or {})}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stdout
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", ["up", "dev", *MODULES])
def test_an_env_file_that_is_not_utf_8_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    code, output = start(tmp_path, name)
    assert code != 0
    assert output.count("\n") == 1
    assert f"{tmp_path}/.env is not UTF-8 at byte 2: save it as UTF-8" in output


@pytest.mark.parametrize("name", ["up", "dev", *MODULES])
def test_a_line_of_an_env_file_that_sets_nothing_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text("# the port\nSWALLOWTAIL_PORT 8001\n")
    code, output = start(tmp_path, name)
    assert code != 0
    assert output.count("\n") == 1
    assert f"{tmp_path}/.env: line 2 sets nothing; write NAME=value" in output


@pytest.mark.parametrize("name", ["up", "dev", *MODULES])
def test_a_file_in_place_of_var_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "var").touch()
    code, output = start(tmp_path, name)
    assert code != 0
    (line,) = [line for line in output.splitlines() if "[info" not in line]
    assert f"{tmp_path}/var cannot be created: a file is in its place; move the file" in line


@pytest.mark.parametrize("name", ["web", "worker", "beat", "release"])
def test_a_database_of_another_format_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "swallowtail.db").write_text("another format " * 100)
    code, output = start(tmp_path, name)
    assert code != 0
    (line,) = [line for line in output.splitlines() if "[info" not in line]
    assert "swallowtail.db is not an SQLite database: move the file, or set SWALLOWTAIL_DATABASE_URL" in line


def test_an_agents_file_that_calls_exit_ends_release_and_worker_with_its_line(tmp_path: Path) -> None:
    assert start(tmp_path, "release")[0] == 0
    (tmp_path / "agents.py").write_text("import sys\nsys.exit(0)\n")
    for name in ("release", "worker"):
        code, output = start(tmp_path, name)
        assert code == 1
        assert f"{tmp_path}/agents.py: cannot be loaded: SystemExit: 0 (agents.py, line 2); fix it" in output


@pytest.mark.parametrize("name", ["up", "dev", "web"])
def test_a_port_in_use_is_one_line(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, output = start(tmp_path, name, {"SWALLOWTAIL_PORT": str(port)})
    assert code == 1
    assert str(port) in output.splitlines()[-1]
    assert "SWALLOWTAIL_PORT" in output.splitlines()[-1]
