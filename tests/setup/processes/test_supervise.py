"""`swallowtail up`: it restarts processes that end, and leaves none running."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from swallowtail.app.core.process.python_command import python_command
from swallowtail.scripts.processes.command_lines import UP
from tests.harness.program import ROOT, Program, make_directory, remove_directory
from tests.harness.system.ports import free_port
from tests.harness.system.process_guard import session_pids
from tests.harness.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.journey


class Up(Program):
    """`scripts/up` on a var directory and port of its own.

    Where `scripts/prepare` did not install what the tests run on, only what it ends in: it would install all again.
    """

    def __init__(self, var: Path, name: str = "up", **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = {"SWALLOWTAIL_VAR_DIR": str(var), "PORT": str(self.port), "SWALLOWTAIL_RESTART_PAUSE": "0.1", **env}
        prepared = (ROOT / ".venv/swallowtail-installed").exists()
        command = ["bash", "scripts/up"] if prepared else python_command(UP)
        super().__init__(name, command, log=var / f"{name}.log", env=env, cwd=ROOT)

    def wait_ready(self, timeout: float = 3 * PATIENCE) -> None:
        # Five processes start, and the message waits for the worker.
        super().wait_ready(max(timeout, 3 * PATIENCE))

    def ready(self) -> bool:
        return "Ctrl-C stops everything" in self.log_text()

    def children(self) -> dict[int, str]:
        """Return the command lines of the supervisor's own child processes by id."""
        return children_of(self.pid)

    def child(self, text: str) -> int:
        """Return the process whose command line contains the text."""
        (pid,) = [pid for pid, line in self.children().items() if text in line]
        return pid

    def answers(self, path: str) -> bool:
        try:
            return httpx2.get(self.url + path, timeout=10).status_code == 200
        except httpx2.TransportError:
            return False


def children_of(parent: int) -> dict[int, str]:
    matches = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
            line = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if int(ppid) == parent and state != "Z":
            matches[int(stat.parent.name)] = line
    return matches


def left(sessions: list[int]) -> list[int]:
    return [pid for leader in sessions for pid in session_pids(leader)]


@pytest.fixture
def var() -> Iterator[Path]:
    directory = make_directory()
    yield directory
    remove_directory(directory)


@pytest.mark.long
def test_all_processes_start_restart_and_end(var: Path) -> None:
    with Up(var).start() as up:
        shown = re.sub(r"(?m)^\d\d:\d\d:\d\d ", "", up.log_text())
        assert f"| Swallowtail is ready at {up.url}\n" in shown
        assert "| Demo instance: demo\n" in shown
        assert [f"  {n}. " in shown for n in (1, 2, 3)] == [True] * 3
        assert httpx2.get(f"{up.url}/api/v1/instances/demo").json()["id"] == "demo"

        web = up.child("swallowtail.app.wsgi")
        os.kill(web, signal.SIGKILL)
        up.wait_for_log("web ended by SIGKILL; starting it again in 0.1 s")
        wait_until(lambda: up.answers("/readyz"), "the web process answers again")
        assert up.child("swallowtail.app.wsgi") != web

        os.kill(up.child("-server "), signal.SIGKILL)
        up.wait_for_log("redis ended by SIGKILL; starting it again in 0.1 s")
        wait_until(lambda: len(up.children()) == 4, "there is a new server")
        wait_until(lambda: up.answers("/readyz"), "delivery works again")

        sessions = list(up.children())
        assert up.terminate() == 0
        assert left(sessions) == []
        assert up.log_text().rstrip().endswith("| stopped")


@pytest.mark.long
def test_a_run_that_it_stops_is_requeued_before_anything_is_killed(var: Path) -> None:
    with Up(var, SWALLOWTAIL_SHUTDOWN_GRACE="0.5").start() as up:
        task = httpx2.post(
            f"{up.url}/api/v1/instances/demo/tasks",
            json={"kind": "probe", "input": {"steps": 1, "seconds": 600, "blocking": True}},
            timeout=60,
        ).json()["task"]
        steps_of = f"{up.url}/api/v1/tasks/{task['id']}/steps"
        wait_until(lambda: "in_progress" in httpx2.get(steps_of, timeout=60).text, "the step is open")
        assert up.terminate() == 0
        assert "killing it" not in up.log_text()
    with closing(sqlite3.connect(var / "swallowtail.db")) as database:
        received = database.execute("SELECT status, losses FROM task WHERE id = ?", [task["id"]]).fetchone()
        steps = database.execute("SELECT status, failures FROM step WHERE task_id = ?", [task["id"]]).fetchall()
    assert received[0] in ("RETRYING", "QUEUED")
    assert (received[1], steps) == (0, [("failed", 0)])


@pytest.mark.long
def test_a_second_start_serves_the_data_of_the_first(var: Path) -> None:
    with Up(var, "first").start() as first:
        instance = httpx2.post(f"{first.url}/api/v1/instances", json={"name": "Kept"}, timeout=60).json()
        assert first.terminate() == 0
    with Up(var, "second").start() as second:
        assert "the instance demo exists" in second.log_text()
        assert httpx2.get(f"{second.url}/api/v1/instances/{instance['id']}", timeout=60).json()["name"] == "Kept"
        sessions = list(second.children())
        assert second.terminate() == 0
        assert left(sessions) == []


@pytest.mark.long
def test_nothing_outlives_a_killed_supervisor(var: Path) -> None:
    with Up(var).start() as up:
        sessions = list(up.children())
        up.kill_main()
        wait_until(lambda: not left(sessions), "its processes have ended too", seen=lambda: left(sessions))


@pytest.mark.long
def test_a_second_one_on_the_same_directory_is_refused(var: Path) -> None:
    with Up(var).start() as first:
        second = Up(var, "second").start(wait=False)
        assert second.wait() == 1
        assert f"Swallowtail already runs on {var} (process {first.pid})" in second.log_text()
        assert first.answers("/readyz")


@pytest.mark.long
def test_a_taken_port_is_named(var: Path) -> None:
    with Up(var, "first").start() as first:
        second = Up(var / "other", PORT=str(first.port), name="second")
        second.log = var / "second.log"
        assert second.start(wait=False).wait() == 1
        assert f"swallowtail up: port {first.port} is used by another program" in second.log_text()


@pytest.mark.long
def test_a_release_that_fails_starts_nothing_else(var: Path) -> None:
    up = Up(var, SWALLOWTAIL_DATABASE_URL="sqlite:////nowhere/at/all.db", SWALLOWTAIL_DATABASE_WAIT="0.5")
    assert up.start(wait=False).wait() == 1
    assert "the release ended with exit code 1; nothing else is started" in up.log_text()
    assert "web " not in up.log_text()


@pytest.mark.long
def test_several_web_processes_come_up_and_end_with_the_rest(var: Path) -> None:
    with Up(var, SWALLOWTAIL_PROCESSES="2").start() as up:
        wait_until(lambda: up.log_text().count("| listening on") == 2, "both web processes listen", seen=up.tail)
        web = up.child("swallowtail.app.wsgi")
        assert len(children_of(web)) == 2
        sessions = list(up.children())
        assert up.terminate() == 0
        assert left(sessions) == []
        assert up.log_text().rstrip().endswith("| stopped")


@pytest.mark.long
def test_several_web_processes_do_not_outlive_a_killed_supervisor(var: Path) -> None:
    with Up(var, SWALLOWTAIL_PROCESSES="2").start() as up:
        sessions = list(up.children())
        up.kill_main()
        wait_until(lambda: not left(sessions), "its processes have ended too", seen=lambda: left(sessions))
