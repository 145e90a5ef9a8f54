"""The first start shows no warning, and the commands of its message work as typed in a second terminal."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from swallowtail.app.core.process.python_command import python_command
from swallowtail.scripts.processes.command_lines import UP
from tests.harness.program import QUICK, ROOT, Program, make_directory, remove_directory
from tests.harness.system.ports import free_port
from tests.harness.waiting import PATIENCE

pytestmark = [pytest.mark.journey, pytest.mark.long]

PASSWORD = "correct horse battery"


@pytest.fixture
def var() -> Iterator[Path]:
    directory = make_directory()
    yield directory
    remove_directory(directory)


def type_in(command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as in a second terminal in the same folder, which has none of the first one's variables."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SWALLOWTAIL_") and k != "PORT"}
    return subprocess.run(
        ["bash", "-c", command],
        input=stdin,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def first_start(var: Path, **env: str) -> Iterator[tuple[str, str]]:
    """Run `swallowtail up` until its message is there; yield the server's URL and the output so far."""
    port = free_port()
    env = {"SWALLOWTAIL_VAR_DIR": str(var), "PORT": str(port), **QUICK, **env}
    up = Program("up", python_command(UP), log=var / "up.log", env=env, cwd=ROOT)
    try:
        up.start(wait=False)
        up.wait_for_log("Ctrl-C stops everything")
        log = up.log_text()
        assert not re.search("warning|deprecat|error", log, re.IGNORECASE), log
        yield f"http://127.0.0.1:{port}", log
    finally:
        assert up.terminate() == 0


def test_the_first_user_is_created_as_the_message_says_and_owns_the_demo_instance(var: Path) -> None:
    with first_start(var, SWALLOWTAIL_AUTH="required") as (url, log):
        command = re.search(r"\| +(SWALLOWTAIL_VAR_DIR=\S+ \S*swallowtail users create .*)", log)
        assert command is not None, log

        done = type_in(command[1], f"{PASSWORD}\n{PASSWORD}\n")

        assert done.returncode == 0, done.stderr
        with httpx2.Client(base_url=url) as client:
            assert "first-user" not in client.get("/login").text
            login = client.post("/api/v1/auth/login", json={"name": "admin", "password": PASSWORD}).json()
            own = {"Authorization": f"Bearer {login['access_token']}"}
            (member,) = client.get("/api/v1/instances/demo/members", headers=own).json()["items"]
            assert (member["name"], member["role"]) == ("admin", "owner")


def test_the_sample_is_submitted_as_the_message_says(var: Path) -> None:
    with first_start(var) as (_, log):
        command = re.search(r"\| +(\S*swallowtail enqueue social_campaign .*)", log)
        assert command is not None, log

        done = type_in(command[1])

        assert (done.returncode, done.stderr) == (0, "")
        assert "COMPLETED" in done.stdout
        assert "Aurora One desk lamp" in done.stdout
