"""Following from the command line through faults: Redis away, failures, cancels, Ctrl-C, a closed pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.harness.deployment import Deployment
from tests.harness.program import Program, clean_environment
from tests.harness.received_events import shape
from tests.harness.waiting import PATIENCE, wait_until

ECHO = ["SUBMITTED", "QUEUED", "IN_PROGRESS"] + [
    line
    for key, percent in (("listen", "50"), ("repeat", "100"))
    for line in (f"{key} in_progress", f"{key} completed", f"progress {percent}")
] + ["COMPLETED"]  # fmt: skip


def printed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def start(deployment: Deployment, *arguments: str) -> Program:
    return deployment.command(f"cli-{time.monotonic_ns()}", ["-m", "swallowtail.scripts.enqueue", *arguments])


@pytest.mark.long
def test_a_task_enqueued_while_redis_is_away_is_kept_and_sent_when_it_is_back(deployment: Deployment) -> None:
    deployment.start_web()
    deployment.start_worker()
    instance = deployment.new_instance()
    deployment.redis.kill()

    away = deployment.cli("enqueue", "echo", "--instance", instance, "--set", "message=hello")

    assert away.stderr.startswith("Stored")
    task_id = away.stdout.strip()
    assert deployment.task(task_id)["status"] == "SUBMITTED"
    watching = start(deployment, "watch", instance, "--task", task_id, "--json")
    wait_until(lambda: printed(watching.log_text()), "the first event is shown without Redis")
    deployment.redis.start()
    assert watching.wait() == 0
    assert shape(printed(watching.log_text())) == ECHO
    assert printed(watching.log_text()) == deployment.events(instance)


@pytest.mark.long
def test_following_continues_while_redis_is_killed_and_restarted(deployment: Deployment) -> None:
    deployment.start_web()
    deployment.start_worker()
    instance = deployment.new_instance()
    following = start(
        deployment, "enqueue", "probe", "-i", instance, "-s", "steps=6", "-s", "seconds=0.5", "-f", "--json"
    )
    deployment.wait_for_event(instance, lambda event: event["data"].get("key") == "step-2", "step 2 starts")

    deployment.redis.kill()
    deployment.wait_for_event(instance, lambda event: event["data"].get("key") == "step-4", "step 4 starts")
    deployment.redis.start()

    assert following.wait() == 0
    assert printed(following.log_text()) == deployment.events(instance)


@pytest.mark.long
def test_live_progress_is_shown_on_request_and_never_numbered(deployment: Deployment) -> None:
    deployment.start_web()
    deployment.start_worker()
    instance = deployment.new_instance()
    probe = ("-s", "seconds=600", "-s", "updates=2000")
    following = start(deployment, "enqueue", "probe", "-i", instance, *probe, "--follow", "--json", "--live")
    following.wait_for_log('"rev"')

    deployment.cli("cancel", deployment.events(instance)[0]["task_id"])

    assert following.wait() == 4
    lines = printed(following.log_text())
    live = [line for line in lines if "rev" in line]
    assert [line for line in lines if "seq" in line] == deployment.events(instance)
    assert live
    assert all("seq" not in line and line["type"] == "task_update" for line in live)
    percents = [line["data"]["progress"] for line in live]
    assert percents == sorted(percents)


def test_a_failed_task_ends_the_command_with_3(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()

    failed = shared_deployment.cli(
        "enqueue", "probe", "-i", instance, "-s", "fail_at=2", "-s", "error=permanent", "--follow", check=False
    )

    assert failed.returncode == 3
    assert re.search(r"✗ Probe · step-2  \w+: step 2 fails, as asked", failed.stdout)
    assert re.search(r"Error: \w+: step 2 fails, as asked$", failed.stdout.rstrip())


@pytest.mark.long
def test_cancel_from_one_shell_ends_the_following_in_another_with_4(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    following = start(shared_deployment, "enqueue", "probe", "-i", instance, "-s", "seconds=600", "-f", "--json")
    first = shared_deployment.wait_for_event(instance, lambda event: event["type"] == "execution_step", "a step starts")

    cancelled = shared_deployment.cli("cancel", first["task_id"], "--follow", "--json", check=False)

    assert (cancelled.returncode, following.wait()) == (4, 4)
    assert shape(printed(following.log_text()))[3:] == [
        "step-1 in_progress",
        "cancel requested",
        "step-1 failed",
        "CANCELLED",
    ]
    assert printed(cancelled.stdout) == printed(following.log_text())[4:]


@pytest.mark.long
def test_ctrl_c_leaves_the_task_running_and_prints_how_to_continue(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    following = start(shared_deployment, "enqueue", "probe", "-i", instance, "-s", "seconds=600", "-f", "--json")
    following.wait_for_log("execution_step")

    following.signal(signal.SIGINT)

    code, text = following.wait(), following.log_text()
    assert code == 130, text
    assert "Traceback" not in text
    task_id = printed(text)[0]["task_id"]
    assert shared_deployment.task(task_id)["status"] == "IN_PROGRESS"
    shared_deployment.cli("cancel", task_id)
    arguments = text.splitlines()[-1].partition("swallowtail ")[2].split()
    went_on = shared_deployment.cli(*arguments, "--json", check=False)
    assert went_on.returncode == 4
    assert printed(text) + printed(went_on.stdout) == shared_deployment.events(instance)


@pytest.mark.long
def test_a_closed_pipe_ends_the_command_quietly(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    task_id = shared_deployment.submit(instance, "probe", {"steps": 40})
    shared_deployment.wait_for_task(task_id)

    for more in (["--json"], []):
        command = [sys.executable, "-m", "swallowtail.scripts.enqueue", "watch", instance, "--since", "0", *more]
        watching = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(shared_deployment.env),
            cwd=shared_deployment.root,
        )
        assert watching.stdout is not None
        assert watching.stderr is not None
        with watching.stdout, watching.stderr:
            watching.stdout.readline()
            watching.stdout.close()
            shared_deployment.submit(instance, "echo", {"message": "one more line to write"})
            assert watching.wait(PATIENCE) == 141
            assert watching.stderr.read() == b""


@pytest.mark.long
def test_on_a_terminal_there_is_a_bar_with_the_step_that_is_being_performed(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    command = [sys.executable, "-m", "swallowtail.scripts.enqueue", "enqueue", "probe", "-i", instance, "-f"]
    ours, theirs = pty.openpty()
    following = subprocess.Popen(
        [*command, "-s", "steps=3", "-s", "seconds=3"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**clean_environment(shared_deployment.env), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        cwd=shared_deployment.root,
    )
    os.close(theirs)

    shown = _read_all(ours, following)

    assert following.wait(PATIENCE) == 0
    assert "━" in shown
    assert "Probe · step-2" in shown
    assert "33%" in shown
    assert "COMPLETED" in shown


def _read_all(terminal: int, program: subprocess.Popen[bytes]) -> str:
    """All that the program writes to its terminal until it has ended."""
    shown = b""
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([terminal], [], [], 0.2)
            if ready:
                shown += os.read(terminal, 65_536)
            elif program.poll() is not None:
                break
    except OSError:
        # The terminal's other end is closed.
        pass
    finally:
        os.close(terminal)
    return shown.decode(errors="replace")
