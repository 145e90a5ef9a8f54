"""`swallowtail dev`: a changed agent works at once, and one that cannot be loaded stops nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from swallowtail.app.core.process.agents_status import AgentsStatus, read_status, write_status
from swallowtail.app.core.process.python_command import python_command
from swallowtail.scripts.processes.command_lines import DEV
from tests.harness.program import Program, make_directory, remove_directory
from tests.harness.system.ports import free_port
from tests.harness.system.process_guard import session_pids
from tests.harness.waiting import wait_until
from tests.setup.processes.test_supervise import children_of

AGENT = """
from pydantic import BaseModel
from swallowtail import agent
from wording import WORD

class GreetingInput(BaseModel):
    seconds: float = 0

@agent(kind="greeting", title="Greeting " + WORD, input=GreetingInput)
def greet(ctx, task_input):
    import time
    return ctx.step("greet", lambda: time.sleep(task_input.seconds) or WORD)
"""


class Dev(Program):
    """`swallowtail dev` in a folder of its own, with an ordinary `app.py` and a `redis.py` in it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__("dev", python_command(DEV), log=folder / "dev.log", env={"PORT": str(self.port)}, cwd=folder)

    def ready(self) -> bool:
        return "Ctrl-C stops everything" in self.log_text()

    def get(self, path: str) -> Any:
        return httpx2.get(self.url + path, timeout=60).json()

    def title(self) -> str:
        return next((a["title"] for a in self.get("/api/v1/agents")["items"] if a["kind"] == "greeting"), "")

    def error(self) -> str | None:
        error: str | None = self.get("/dev/agents")["error"]
        return error

    def submit(self, **fields: float) -> str:
        body = {"kind": "greeting", "input": fields}
        task = httpx2.post(f"{self.url}/api/v1/instances/demo/tasks", json=body, timeout=60).json()["task"]
        return str(task["id"])

    def wait_for_result(self, task: str) -> Any:
        wait_until(lambda: self.get(f"/api/v1/tasks/{task}")["status"] == "COMPLETED", "the task is done")
        return self.get(f"/api/v1/tasks/{task}")["result"]


@pytest.fixture
def folder() -> Iterator[Path]:
    directory = make_directory()
    (directory / "wording.py").write_text("WORD = 'hello'\n")
    (directory / "agents.py").write_text(AGENT)
    for name in ("app", "workers", "scripts", "redis", "celery", "flask"):
        (directory / f"{name}.py").write_text("raise SystemExit('a module of the project was imported')\n")
    yield directory
    remove_directory(directory)


@pytest.mark.journey
@pytest.mark.long
def test_a_changed_agent_works_at_once_and_a_broken_one_stops_nothing(folder: Path) -> None:
    with Dev(folder).start() as dev:
        assert dev.wait_for_result(dev.submit()) == "hello"
        pause = dev.submit(seconds=600)
        wait_until(lambda: "in_progress" in str(dev.get(f"/api/v1/tasks/{pause}/steps")), "its step runs")

        (folder / "wording.py").write_text("WORD = 'good day'\n")
        wait_until(lambda: dev.title() == "Greeting good day", "the card is published again", seen=dev.tail)
        wait_until(lambda: dev.get(f"/api/v1/tasks/{pause}")["attempt"] == 2, "the new worker continues the task")
        httpx2.post(f"{dev.url}/api/v1/tasks/{pause}/cancel", json={}, timeout=60)
        assert dev.wait_for_result(dev.submit()) == "good day"

        (folder / "agents.py").write_text(f"{AGENT}def broken(:\n")
        wait_until(dev.error, "the error is shown", seen=dev.tail)
        assert re.search(r"agents\.py: cannot be loaded: SyntaxError: .* \(agents\.py, line 13\)", str(dev.error()))
        dev.wait_for_log("the worker keeps the agents that it has")
        assert "Traceback" not in dev.log_text()
        assert 'name="agents-error"' in httpx2.get(f"{dev.url}/instances/demo", timeout=60).text
        assert dev.wait_for_result(dev.submit()) == "good day"

        (folder / "agents.py").write_text(AGENT)
        wait_until(lambda: dev.error() is None, "the error is gone", seen=dev.tail)
        sessions = list(children_of(dev.pid))
        assert dev.terminate() == 0
        assert [pid for leader in sessions for pid in session_pids(leader)] == []


@pytest.mark.journey
@pytest.mark.long
def test_it_starts_with_a_module_that_calls_exit(folder: Path) -> None:
    (folder / "agents.py").write_text("import sys\nsys.exit(0)\n")
    with Dev(folder).start() as dev:
        wait_until(dev.error, "the error is shown", seen=dev.tail)
        assert "SystemExit: 0 (agents.py, line 2)" in str(dev.error())
        (folder / "agents.py").write_text(AGENT)
        wait_until(lambda: dev.title() == "Greeting hello", "the agent exists", seen=dev.tail)


@pytest.mark.unit
def test_the_status_is_that_of_the_last_process_and_empty_without_one(tmp_path: Path) -> None:
    assert read_status(tmp_path) == AgentsStatus()
    write_status(tmp_path, "no")
    assert read_status(tmp_path).error == "no"
    write_status(tmp_path, None)
    assert read_status(tmp_path).error is None
    assert [path.name for path in tmp_path.iterdir()] == ["agents_status.json"]
