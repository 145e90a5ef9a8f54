"""Workers that stop in the middle of a run: another worker continues it at once."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from sqlalchemy import select

from swallowtail.app.core.tables.tasks import Step, Task
from tests.harness.deployment import Deployment
from tests.harness.tasks.event_lines import story
from tests.harness.tasks.paused_step import (
    LOST_WHILE_PAUSED,
    REQUEUED_WHILE_PAUSED,
    UNTIL_PAUSE,
    after_pause,
    release_task,
    start_paused,
)

MakeDeployment = Callable[..., Deployment]

#: A task whose step is paused when its worker stops, and ends in time.
STOPPED_AFTER_PAUSE = [
    "1: wait completed",
    "1: RETRYING worker_stopped",
    "1: QUEUED",
    "2: IN_PROGRESS",
    "2: last in_progress",
    "2: last completed",
    "2: COMPLETED",
]


def count_failures(deployment: Deployment, task_id: str) -> tuple[int, dict[str, int]]:
    """Return the losses of a task and the failures of each step."""
    with deployment.runtime().db.read() as session:
        losses = session.scalar(select(Task.losses).where(Task.id == task_id))
        steps = session.execute(select(Step.key, Step.failures).where(Step.task_id == task_id)).all()
    assert losses is not None
    return losses, {step.key: step.failures for step in steps}


def test_a_warm_shutdown_releases_the_task_at_the_next_step_boundary(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=600, shutdown_grace=600)
    instance, task_id, release = start_paused(deployment)
    deployment.workers[0].stop_warm()
    deployment.workers[0].wait_for_log("worker_stops")
    release.touch()
    assert deployment.workers[0].wait() == 0
    deployment.wait_for_task(task_id, "RETRYING", "QUEUED")
    assert count_failures(deployment, task_id) == (0, {"first": 0, "wait": 0})
    deployment.start_worker(concurrency=1)
    assert release_task(deployment, task_id, release) == 2
    assert story(deployment.events(instance)) == [*UNTIL_PAUSE, *STOPPED_AFTER_PAUSE]


@pytest.mark.parametrize("manner", ["asks", "blocks"])
def test_a_step_that_outlasts_the_grace_is_performed_elsewhere(fast_deployment: MakeDeployment, manner: str) -> None:
    deployment = fast_deployment(lease_seconds=600, shutdown_grace=0.5)
    instance, task_id, release = start_paused(deployment, manner)
    assert deployment.workers[0].terminate() == 0
    deployment.wait_for_task(task_id, "RETRYING", "QUEUED")
    assert count_failures(deployment, task_id) == (0, {"first": 0, "wait": 0})
    release.touch()
    deployment.start_worker(concurrency=1)
    assert release_task(deployment, task_id, release) == 2
    assert story(deployment.events(instance)) == [
        *UNTIL_PAUSE,
        *REQUEUED_WHILE_PAUSED,
        "2: wait in_progress",
        *after_pause(2),
    ]


def test_a_step_that_ends_at_the_notice_keeps_its_output(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=600, shutdown_grace=0.5, cancel_grace=600)
    instance, task_id, release = start_paused(deployment, "tidies")
    assert deployment.workers[0].terminate() == 0
    deployment.start_worker(concurrency=1)
    assert release_task(deployment, task_id, release) == 2
    assert story(deployment.events(instance)) == [*UNTIL_PAUSE, *STOPPED_AFTER_PAUSE]
    (wait,) = [e["data"] for e in deployment.events(instance) if e["data"].get("key") == "wait" and e["data"]["output"]]
    assert wait["output"] == "tidied up"


@pytest.mark.parametrize("manner", ["asks", "blocks"])
def test_a_cold_shutdown_releases_the_task_at_once(fast_deployment: MakeDeployment, manner: str) -> None:
    deployment = fast_deployment(lease_seconds=600, shutdown_grace=600)
    instance, task_id, release = start_paused(deployment, manner)
    deployment.workers[0].stop_cold()
    deployment.wait_for_task(task_id, "RETRYING", "QUEUED")
    deployment.workers[0].wait()
    release.touch()
    deployment.start_worker(concurrency=1)
    assert release_task(deployment, task_id, release) == 2
    assert story(deployment.events(instance)) == [
        *UNTIL_PAUSE,
        *LOST_WHILE_PAUSED,
        "2: wait in_progress",
        *after_pause(2),
    ]


@pytest.mark.parametrize("manner", ["warm", "cold"])
def test_a_step_that_ignores_every_request_does_not_delay_a_shutdown_for_ever(
    fast_deployment: MakeDeployment, manner: str
) -> None:
    deployment = fast_deployment(lease_seconds=600, shutdown_grace=0.5)
    instance, task_id, _ = start_paused(deployment, "unresponsive")
    (deployment.workers[0].stop_warm if manner == "warm" else deployment.workers[0].stop_cold)()
    deployment.workers[0].wait()
    deployment.wait_for_task(task_id, "RETRYING", "QUEUED")
    there = REQUEUED_WHILE_PAUSED if manner == "warm" else LOST_WHILE_PAUSED
    assert story(deployment.events(instance))[: len(UNTIL_PAUSE) + 2] == [*UNTIL_PAUSE, *there[:2]]


def test_a_child_that_is_ended_while_its_worker_stays_counts_as_a_loss(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=600)
    instance, task_id, release = start_paused(deployment)
    (child,) = deployment.workers[0].pool()
    os.kill(child, 15)
    deployment.wait_for_step(instance, task_id, "wait", attempt=2)
    assert count_failures(deployment, task_id)[0] == 1
    assert release_task(deployment, task_id, release) == 2
    assert story(deployment.events(instance)) == [
        *UNTIL_PAUSE,
        *LOST_WHILE_PAUSED,
        "2: wait in_progress",
        *after_pause(2),
    ]
