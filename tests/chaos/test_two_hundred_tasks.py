"""Two hundred tasks while workers are killed and Redis restarts twice: no client misses an event."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.harness.deployment import Deployment
from tests.harness.received_events import assert_contiguous
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.tasks.event_lines import BEGINNING, story
from tests.harness.waiting import wait_until

TASKS = 200
LIFE_SECONDS = 3.0
LONG = 800.0


class Killer(threading.Thread):
    """Kills the worker with all its children three seconds after each start, until it is stopped."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(name="killer", daemon=True)
        self.deployment = deployment
        self.kills = 0
        self.fault: BaseException | None = None
        self.stopping = threading.Event()

    def run(self) -> None:
        worker = self.deployment.workers[0]
        try:
            while not self.stopping.wait(LIFE_SECONDS):
                worker.restart()
                self.kills += 1
        except BaseException as fault:
            self.fault = fault


@contextmanager
def kills(deployment: Deployment) -> Iterator[Killer]:
    """Kill the worker repeatedly in the block; an error of the killer is raised at its end."""
    killer = Killer(deployment)
    killer.start()
    try:
        yield killer
    finally:
        killer.stopping.set()
        killer.join()
    if killer.fault is not None:
        raise killer.fault


def check_story(lines: list[str]) -> None:
    """Check the events of one task: each step is completed once, and none stays open."""
    assert lines[:2] == BEGINNING[:2]
    assert lines[-1].endswith(": COMPLETED")
    facts = [line.partition(": ")[2] or line for line in lines]
    for key in ("step-1", "step-2"):
        assert facts.count(f"{key} completed") == 1
        assert facts.count(f"{key} in_progress") == 1 + facts.count(f"{key} failed worker_lost")
    attempts = int(lines[-1].partition(":")[0])
    assert facts.count("IN_PROGRESS") == facts.count("QUEUED") == attempts
    assert facts.count("RETRYING worker_lost") == attempts - 1
    assert (
        len(facts)
        == 1
        + 2 * attempts
        + (attempts - 1)
        + 2 * facts.count("step-1 in_progress")
        + 2 * facts.count("step-2 in_progress")
        + 2
        + 1
    )


def count_ended(deployment: Deployment, tasks: list[str]) -> int:
    """Return how many of the tasks have ended."""
    return sum(deployment.task(task_id)["status"] in ("COMPLETED", "FAILED") for task_id in tasks)


# On a busy machine, a worker that is killed soon after its start gets little done.
@pytest.mark.timeout(900)
def test_two_hundred_tasks_survive_and_no_client_misses_an_event(fast_deployment: Callable[..., Deployment]) -> None:
    # A task may be lost many times in a row; another test covers the failure after that.
    deployment = fast_deployment(worker=False, lease_seconds=4, max_losses=30)
    webs = [deployment.start_web(wait=False), deployment.start_web(wait=False)]
    deployment.start_worker(concurrency=2)
    for web in webs:
        web.wait_ready()
    instance = deployment.new_instance()
    with Recorder(webs[0].url) as plain, ResumingRecorder(webs[1].url) as resuming:
        plain.subscribe(instance)
        resuming.follow(instance)
        with kills(deployment) as killer:
            tasks = [submit(deployment, instance, number) for number in range(TASKS)]
            for turn, share in enumerate((0.2, 0.4, 0.6, 0.8)):
                wait_for_share(deployment, tasks, share, killer)
                if turn in (1, 2):
                    deployment.redis.restart()
                resuming.drop_and_resume(webs[turn % 2].url)
            wait_for_share(deployment, tasks, 1.0, killer)
        log = deployment.events(instance)
        plain.wait_for_seq(instance, log[-1]["seq"])
        resuming.wait_for_log(instance, log[-1]["seq"])
        check(deployment, log, tasks, plain.events(instance_id=instance), resuming.log(instance))
    assert killer.kills >= 5
    assert not plain.errors
    assert not resuming.errors


def submit(deployment: Deployment, instance: str, number: int) -> str:
    """Submit one small task after a short delay."""
    time.sleep(0.02)
    return deployment.submit(instance, "probe", {"steps": 2, "seconds": 0.15, "updates": 2}, title=f"Task {number}")


def wait_for_share(deployment: Deployment, tasks: list[str], share: float, killer: Killer) -> None:
    """Wait until this share of the tasks has ended."""

    def enough() -> bool:
        return killer.fault is not None or count_ended(deployment, tasks) >= share * TASKS

    wait_until(enough, f"{share:.0%} of the tasks have ended", timeout=LONG, every=0.5, seen=lambda: killer.kills)


def check(deployment: Deployment, log: list[dict[str, Any]], tasks: list[str], *received: list[dict[str, Any]]) -> None:
    """Check that the log is complete, that each task is completed, and that each client received exactly the log."""
    assert_contiguous(log)
    assert {deployment.task(task_id)["status"] for task_id in tasks} == {"COMPLETED"}
    by_task: dict[str, list[dict[str, Any]]] = {task_id: [] for task_id in tasks}
    for event in log:
        by_task[event["task_id"]].append(event)
    for events in by_task.values():
        check_story(story(events))
    for copy in received:
        assert copy == log
