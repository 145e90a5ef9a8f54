"""A new user installs the wheel, runs it in a folder of their own, and changes an agent."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.stranger.project import AGENTS, EVENTS, write_project
from tests.harness.program import ROOT, Program
from tests.harness.services import require
from tests.harness.system.distributions import FIRST_START, make_environment, outside_environment
from tests.harness.system.ports import free_port
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


class Project:
    """The user's folder, the programs of its environment, and its processes."""

    def __init__(self, directory: Path, programs: Path) -> None:
        self.directory = directory
        self.programs = programs
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        write_project(directory)

    @contextmanager
    def running(self, command: str) -> Iterator[Program]:
        """Run `swallowtail COMMAND` until it answers, and end it as Ctrl-C does."""
        environment = outside_environment(self.directory) | {"SWALLOWTAIL_PORT": str(self.port), "PYTHONPATH": ""}
        arguments = [str(self.programs / "swallowtail"), command]
        log = self.directory / f"{command}.log"
        program = Program(command, arguments, log=log, env=environment, cwd=self.directory).start()
        try:
            program.wait_for_log("Swallowtail is ready", timeout=FIRST_START)
            yield program
            program.signal(signal.SIGINT)
            assert program.wait() == 0
        finally:
            program.kill()

    def submit(self, kind: str, task_input: dict[str, Any]) -> dict[str, Any]:
        """Submit a task over REST."""
        body = json.dumps({"kind": kind, "input": task_input}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1/instances/demo/tasks", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def run(self, *command: str) -> list[str]:
        """Run a command in the folder to its end; return its lines."""
        environment = outside_environment(self.directory)
        done = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout.splitlines()

    def run_python(self, *arguments: str) -> list[str]:
        """Run a Python program with the environment's interpreter; return its lines."""
        return self.run(str(self.programs / "python"), *arguments)

    def run_node(self, *arguments: str) -> list[str]:
        """Run a JavaScript program; return its lines."""
        return self.run(require("node"), *arguments)

    def greet(self, name: str) -> str:
        """Return the letter that the agent writes now."""
        return self.run_python("submit.py", self.url, name)[-1]


@pytest.fixture(scope="module")
def npm_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package of this repository."""
    directory = tmp_path_factory.mktemp("npm")
    command = [require("npm"), "pack", "--silent", "--pack-destination", str(directory)]
    subprocess.run(command, cwd=ROOT / "clients" / "javascript", check=True, stdout=subprocess.DEVNULL)
    (package,) = directory.glob("swallowtail-client-*.tgz")
    return package


@pytest.fixture(scope="module")
def lowest_server(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of programs of an environment with the oldest versions that setup.cfg allows."""
    requirement = f"swallowtail[server,campaign] @ {built_wheel.as_uri()}"
    directory = tmp_path_factory.mktemp("lowest")
    return make_environment(directory, "--resolution", "lowest-direct", requirement)


@pytest.mark.parametrize("installation", ["installed_server", "lowest_server"])
def test_a_new_user_installs_runs_watches_and_changes_an_agent(
    installation: str, npm_package: Path, tmp_path: Path, page: Page, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder, request.getfixturevalue(installation))
    project.run(require("npm"), "install", "--silent", "--no-audit", "--no-fund", str(npm_package))

    with project.running("up") as up:
        campaign = project.submit("social_campaign", {"brief": (ROOT / "examples" / "brief.md").read_text("utf-8")})
        page.goto(f"{project.url}/tasks/{campaign['task']['id']}")
        expect(page.locator("#status")).to_have_text("Completed", timeout=120_000)
        assert page.locator("#steps > li").count() > 5

        assert project.run_python("submit.py", project.url, "Ann") == [*EVENTS, "Dear Ann, yours"]
        assert project.run_node("submit.mjs", project.url, "Bob") == [*EVENTS, "Dear Bob, yours"]
        page.goto(f"{project.url}/instances/demo")
        greetings = page.locator("#tasks > li", has_text="Greeting")
        expect(greetings).to_have_count(2)
        greetings.first.get_by_role("link").first.click()
        expect(page.locator("#steps > li")).to_have_count(2)
        assert "Traceback" not in up.log_text()
    assert project.run_python("-c", "import app; print(app.app.test_client().get('/').text)") == ["the user's own page"]

    with project.running("dev"):
        assert project.greet("Cleo") == "Dear Cleo, yours"
        (folder / "agents.py").write_text(AGENTS.replace("Dear", "Hello"), encoding="utf-8")
        wait_until(lambda: project.greet("Dora") == "Hello Dora, yours", "the changed agent runs")
