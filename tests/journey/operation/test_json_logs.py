"""With `SWALLOWTAIL_LOG_FORMAT=json`, every line that a process writes is one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from swallowtail.scripts.processes.command_lines import command_line
from tests.harness.deployment import Deployment
from tests.harness.program import ROOT, clean_environment

pytestmark = pytest.mark.long

#: A site module that makes each Python process of the deployment warn, print, and lose a thread to a fault.
NOISE = """
import threading, time
def noise():
    import logging, sys, warnings
    while "swallowtail.app.core.logs.unlogged_output" not in sys.modules or type(sys.stdout).__name__ != "LineStream":
        time.sleep(0.05)
    while not logging.getLogger().handlers:
        time.sleep(0.05)
    time.sleep(0.2)
    print("printed by a library")
    sys.stderr.write("two lines\\nof text\\n")
    __import__("os").write(2, b"as C code writes\\n")
    __import__("subprocess").run(["/bin/echo", "of a program that was started"])
    warnings.warn("careful", stacklevel=1)
    raise LookupError("lost by a thread")
if "workers.program" in " ".join(__import__("sys").orig_argv) or "wsgi" in " ".join(__import__("sys").orig_argv):
    threading.Thread(target=noise, daemon=True).start()
"""


def _parse(text: str) -> list[dict[str, Any]]:
    received = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(line, dict) and "event" in line for line in received)
    return received


def test_every_line_of_web_worker_beat_and_release_is_an_object(new_deployment: Callable[..., Deployment]) -> None:
    deployment = new_deployment(env={"log_format": "json"})
    (deployment.root / "sitecustomize.py").write_text(NOISE)
    noisy = {"PYTHONPATH": f"{deployment.root}:{ROOT}"}
    released = deployment.run(["-m", "swallowtail.workers.release"])
    web, worker, beat = (
        deployment.start_web(env=noisy),
        deployment.start_worker(env=noisy),
        deployment.start_beat(env=noisy),
    )
    assert deployment.wait_for_task(
        deployment.submit(deployment.new_instance(), "echo", {"message": "hello"}), "COMPLETED"
    )
    for program in (web, worker, beat):
        program.wait_for_log("lost by a thread")
        program.terminate()
        events = [str(line["event"]) for line in _parse(program.log_text())]
        assert {"printed by a library", "two lines", "of text", "uncaught_exception"} <= set(events)
        assert {"as C code writes", "of a program that was started"} <= set(events)
        assert any("careful" in event for event in events)
    assert any("listening on" in line["event"] for line in _parse(web.log_text()))
    assert any("Warm shutdown" in line["event"] for line in _parse(worker.log_text()))
    assert len(_parse(released.stdout + released.stderr)) > 1


@pytest.mark.parametrize(
    ("arguments", "payload"),
    [
        (command_line("web")[1:], {"port": "no number"}),
        (command_line("web")[1:], {"database_url": "sqlite:////nowhere/at/all.db", "database_wait": "0.1"}),
        (["-m", "swallowtail.workers.release"], {"lease_seconds": "-1"}),
        (["-m", "swallowtail.workers.sweeper_process"], {"lease_seconds": "-1"}),
        (command_line("beat")[1:], {"lease_seconds": "-1"}),
        (["-m", "swallowtail.scripts.processes.up"], {"lease_seconds": "-1"}),
    ],
)
def test_a_refusal_at_the_start_is_an_object_too(arguments: list[str], payload: dict[str, str], tmp_path: Any) -> None:
    env = {f"SWALLOWTAIL_{name.upper()}": value for name, value in payload.items()}
    env = {**env, "SWALLOWTAIL_LOG_FORMAT": "json", "SWALLOWTAIL_VAR_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment(env),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert _parse(done.stdout + done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "swallowtail.app.wsgi", "--bogus"],
        ["-m", "swallowtail.workers.release", "--bogus"],
        ["-m", "swallowtail.scripts.processes.up", "--bogus"],
        ["-m", "swallowtail.scripts.processes.embedded_redis", "--bogus"],
        ["-m", "swallowtail.workers.program", "worker", "--bogus"],
        ["-m", "celery", "-A", "swallowtail.workers.celery_app", "beat", "--max-interval=soon"],
        ["-m", "swallowtail.scripts.enqueue", "tokens", "create", "ci", "--bogus"],
        ["-m", "swallowtail.scripts.enqueue", "tokens", "create", "ci", "--for", "abc"],
    ],
)
def test_an_error_of_usage_is_one_object(arguments: list[str], tmp_path: Any) -> None:
    env = {"SWALLOWTAIL_LOG_FORMAT": "json", "SWALLOWTAIL_VAR_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment({**env, "PYTHONPATH": str(ROOT)}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert len(_parse(done.stdout + done.stderr)) == 1
    assert not list(tmp_path.glob("*.db")), "nothing was done"
