"""The public package `swallowtail`: its names, their types, and what its import does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

import swallowtail
from swallowtail import Context, PermanentError, agent
from swallowtail.testing import AgentRun, FakeContext, RunStopped, run_agent

pytestmark = pytest.mark.unit

#: Libraries that only a process that serves or runs tasks needs.
HEAVY = ("flask", "celery", "eventlet", "socketio", "engineio")


class Letter(BaseModel):
    to: str


@agent(kind="greeting", title="Greeting", input=Letter)
def greet(ctx: Context, payload: Letter) -> dict[str, str]:
    """Writes and signs a letter."""
    draft = ctx.step("draft", lambda: f"Dear {payload.to}", agent="Writer", action="write", progress=50)
    if payload.to == "no one":
        raise PermanentError("there is no one to greet")
    ctx.progress(75, "Signing")
    return {"letter": str(ctx.step("sign", lambda: draft + " Yours", agent="Secretary", action="sign", progress=100))}


def run_elsewhere(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new process of this environment, started in another directory than the repository."""
    return subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "statement", ["import swallowtail", "from swallowtail import agent, Context, PermanentError, testing"]
)
def test_the_import_loads_no_server_library(statement: str, tmp_path: Path) -> None:
    done = run_elsewhere(f"{statement}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules])", tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("package", ["app", "workers", "scripts"])
def test_no_folder_of_the_repository_is_a_top_level_package(package: str, tmp_path: Path) -> None:
    assert f"No module named '{package}'" in run_elsewhere(f"import {package}", tmp_path).stderr
    assert run_elsewhere(f"import swallowtail.{package}", tmp_path).stderr == ""


def test_every_public_name_is_there(tmp_path: Path) -> None:
    names = ["Context", "PermanentError", "agent", "client", "signals", "testing"]
    assert swallowtail.__all__ == names
    done = run_elsewhere("import swallowtail as s\nprint([n for n in dir(s) if hasattr(s, n)])", tmp_path)
    assert set(names) <= set(done.stdout.replace("'", "").strip("[]\n").split(", "))
    assert swallowtail.client.TaskWebSocketClient.__module__ == "swallowtail.client.task_websocket_client"
    with pytest.raises(AttributeError, match="module 'swallowtail' has no attribute 'agents'"):
        swallowtail.agents  # type: ignore[attr-defined] # noqa: B018


def test_an_agent_runs_without_servers() -> None:
    done: AgentRun = run_agent(greet, {"to": "Ann"})
    assert done.output == {"letter": "Dear Ann Yours"}
    assert done.summary == [("draft", "Writer", "write", "completed"), ("sign", "Secretary", "sign", "completed")]
    assert [step.output for step in done.steps] == ["Dear Ann", "Dear Ann Yours"]
    assert done.context.live == [(75, "Signing")]


def test_a_retry_reads_the_journal_of_the_first_attempt() -> None:
    first = FakeContext(failures={"sign": [TimeoutError()]})
    with pytest.raises(TimeoutError):
        run_agent(greet, Letter(to="Ann"), context=first)
    second = run_agent(greet, Letter(to="Ann"), context=FakeContext(journal=first.journal, attempt=2))
    assert [step.status for step in second.steps] == ["replayed", "completed"]


def test_the_input_and_the_errors_of_an_agent_are_the_real_ones() -> None:
    with pytest.raises(ValidationError, match="to\n  Field required"):
        run_agent(greet, {})
    with pytest.raises(PermanentError, match="there is no one to greet"):
        run_agent(greet, {"to": "no one"})


def test_a_cancel_stops_the_agent_inside_a_step() -> None:
    @agent(kind="loop", title="Loop", input=Letter)
    def run(ctx: Context, payload: Letter) -> None:
        ctx.step("wait", ctx.check)

    context = FakeContext(cancel_in="wait")
    with pytest.raises(RunStopped):
        run_agent(run, {"to": "Ann"}, context=context)
    assert context.summary == [("wait", "Agent", "work", "failed")]
