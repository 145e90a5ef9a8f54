"""A task that waits inside a step until the test lets it continue, by the agent `agents.gate`."""

from __future__ import annotations

from pathlib import Path

from tests.harness.deployment import Deployment
from tests.harness.event_lines import BEGINNING

#: A gate task until the moment at which it waits.
UNTIL_GATE = [*BEGINNING, "1: first in_progress", "1: first completed", "1: 10%", "1: wait in_progress"]
#: The same when it was lost there and has been picked up again.
LOST_THERE = ["1: wait failed worker_lost", "1: RETRYING worker_lost", "1: QUEUED", "2: IN_PROGRESS"]

#: The same when its worker was asked to stop.
HANDED_OVER_THERE = [line.replace("worker_lost", "worker_stopped") for line in LOST_THERE]


def after_gate(attempt: int) -> list[str]:
    """The rest of a gate task once the gate is open."""
    received = ["wait completed", "last in_progress", "last completed", "COMPLETED"]
    return [f"{attempt}: {line}" for line in received]


def at_the_gate(deployment: Deployment, manner: str = "asks") -> tuple[str, str, Path]:
    """Submit a gate task and wait until it stands at its gate; instance, task and the file that opens it."""
    instance, gate = deployment.new_instance(), deployment.root / "gate"
    task_id = deployment.submit(instance, "gate", {"path": str(gate), "manner": manner})
    deployment.wait_for_step(instance, task_id, "wait")
    return instance, task_id, gate


def let_through(deployment: Deployment, task_id: str, gate: Path) -> int:
    """Open the gate, wait for the end, and return the attempt that got there."""
    gate.touch()
    task = deployment.wait_for_task(task_id)
    assert task["status"] == "COMPLETED"
    assert task["result"] == {"attempt": task["attempt"]}
    return int(task["attempt"])
