"""Cancelling before, during and at the end of a run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from swallowtail.app.core.errors import Conflict
from swallowtail.app.core.ledger.outbox import RUN_TASK, make_sender
from swallowtail.app.core.services import tasks as task_service
from tests.harness.deployment import Deployment
from tests.harness.tasks.event_lines import BEGINNING, story
from tests.harness.tasks.paused_step import UNTIL_PAUSE, after_pause, release_task, start_paused

MakeDeployment = Callable[..., Deployment]

CANCELLED_THERE = [*UNTIL_PAUSE, "1: cancel requested", "1: wait failed cancelled", "1: CANCELLED"]


def test_a_task_that_has_not_started_is_cancelled_at_once(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(worker=False)
    instance = deployment.new_instance()
    task_id = deployment.submit(instance, "probe", {"steps": 1})
    assert task_service.cancel(deployment.runtime(), task_id).task["status"] == "CANCELLED"
    worker = deployment.start_worker(concurrency=1)
    worker.wait_for_log("wakeup_is_stale")
    assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"
    assert story(deployment.events(instance, task_id)) == ["SUBMITTED", "QUEUED", "CANCELLED"]


@pytest.mark.parametrize("manner", ["asks", "blocks", "unresponsive"])
def test_a_running_task_is_cancelled_however_its_step_behaves(fast_deployment: MakeDeployment, manner: str) -> None:
    deployment = fast_deployment(lease_seconds=600)
    instance, task_id, _ = start_paused(deployment, manner)
    task_service.cancel(deployment.runtime(), task_id)
    assert deployment.wait_for_task(task_id)["status"] == "CANCELLED"
    assert story(deployment.events(instance)) == CANCELLED_THERE
    assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"
    assert story(deployment.events(instance, task_id)) == CANCELLED_THERE


def test_a_cancelled_task_can_be_retried_from_where_it_was(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment()
    instance, task_id, release = start_paused(deployment)
    task_service.cancel(deployment.runtime(), task_id)
    deployment.wait_for_task(task_id, "CANCELLED")
    task_service.retry(deployment.runtime(), task_id)
    assert release_task(deployment, task_id, release) == 2
    again = ["1: RETRYING", "1: QUEUED", "2: IN_PROGRESS", "2: wait in_progress", *after_pause(2)]
    assert story(deployment.events(instance)) == [*CANCELLED_THERE, *again]


def test_a_cancel_that_races_the_end_is_obeyed_or_refused(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment()
    instance = deployment.new_instance()
    step = ["1: step-1 in_progress", "1: step-1 completed", "1: 100%"]
    outcomes = set()
    for pause in range(40):
        task_id = deployment.submit(instance, "probe", {"steps": 1})
        time.sleep(pause * 0.004)
        try:
            task_service.cancel(deployment.runtime(), task_id)
            expected = "CANCELLED"
        except Conflict:
            expected = "COMPLETED"
        assert deployment.wait_for_task(task_id)["status"] == expected
        lines = story(deployment.events(instance, task_id))
        outcomes.add(lines[-1])
        if expected == "COMPLETED":
            assert lines == [*BEGINNING, *step, "1: COMPLETED"]
        else:
            assert lines.count("1: CANCELLED") + lines.count("CANCELLED") == 1
            assert "1: COMPLETED" not in lines
            assert lines.count("1: step-1 in_progress") == sum(
                line in ("1: step-1 completed", "1: step-1 failed cancelled") for line in lines
            )
    assert outcomes <= {"CANCELLED", "1: CANCELLED", "1: COMPLETED"}


def test_the_same_message_twice_is_one_run(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(worker=False)
    deployment.start_worker(concurrency=2)
    instance, task_id, release = start_paused(deployment)
    sender = make_sender(deployment.settings)
    for _ in range(3):
        sender.send_task(RUN_TASK, args=[task_id, 1], queue=deployment.runtime().settings.queue)
    deployment.workers[0].wait_for(
        lambda: deployment.workers[0].log_text().count("wakeup_is_stale") == 3, "the repeated messages are refused"
    )
    assert release_task(deployment, task_id, release) == 1
    sender.send_task(RUN_TASK, args=[task_id, 1], queue=deployment.runtime().settings.queue)
    sender.send_task(RUN_TASK, args=["no such task", 1], queue=deployment.runtime().settings.queue)
    sender.send_task(RUN_TASK, args=[{"not": "an id"}, None], queue=deployment.runtime().settings.queue)
    sender.send_task("another.task", args=[task_id, 1], queue=deployment.runtime().settings.queue)
    deployment.workers[0].wait_for(
        lambda: deployment.workers[0].log_text().count("message_unreadable") == 2,
        "messages that are no wake-ups are discarded",
    )
    sender.close()
    assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"
    assert story(deployment.events(instance, task_id)) == [*UNTIL_PAUSE, *after_pause(1)]


def test_an_operator_who_terminates_the_message_cancels_the_task(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=600)
    instance, task_id, _ = start_paused(deployment, "blocks")
    received = re.search(r"swallowtail\.run\[([0-9a-f-]+)\] received", deployment.workers[0].log_text())
    assert received
    sender = make_sender(deployment.settings)
    sender.control.revoke(received[1], terminate=True)
    sender.close()
    assert deployment.wait_for_task(task_id, "CANCELLED")
    lines = story(deployment.events(instance))
    assert lines[: len(UNTIL_PAUSE)] == UNTIL_PAUSE
    assert lines[-1] == "1: CANCELLED"
    assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"
