"""A task that waits inside a step until the test lets it continue, by the agent `agents.paused`."""

from __future__ import annotations

from pathlib import Path

from tests.harness.deployment import Deployment
from tests.harness.tasks.event_lines import BEGINNING

#: The events of such a task until it waits.
UNTIL_PAUSE = [*BEGINNING, "1: first in_progress", "1: first completed", "1: 10%", "1: wait in_progress"]
#: The same when it was lost there and has been picked up again.
LOST_WHILE_PAUSED = ["1: wait failed worker_lost", "1: RETRYING worker_lost", "1: QUEUED", "2: IN_PROGRESS"]

#: The same when its worker was asked to stop.
REQUEUED_WHILE_PAUSED = [line.replace("worker_lost", "worker_stopped") for line in LOST_WHILE_PAUSED]


def after_pause(attempt: int) -> list[str]:
    """Return the events of such a task after its release, in one attempt."""
    received = ["wait completed", "last in_progress", "last completed", "COMPLETED"]
    return [f"{attempt}: {line}" for line in received]


def start_paused(deployment: Deployment, manner: str = "asks") -> tuple[str, str, Path]:
    """Submit such a task and wait until it pauses; return its instance, its id and the file that releases it."""
    instance, release = deployment.new_instance(), deployment.root / "paused"
    task_id = deployment.submit(instance, "paused", {"path": str(release), "manner": manner})
    deployment.wait_for_step(instance, task_id, "wait")
    return instance, task_id, release


def release_task(deployment: Deployment, task_id: str, release: Path) -> int:
    """Release the task, wait for its end, and return its last attempt."""
    release.touch()
    task = deployment.wait_for_task(task_id)
    assert task["status"] == "COMPLETED"
    assert task["result"] == {"attempt": task["attempt"]}
    return int(task["attempt"])
