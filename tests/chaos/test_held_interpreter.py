"""Steps that hold the interpreter, as C code may, so that no other thread of their process runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swallowtail.app.core.services import tasks as task_service
from tests.harness.deployment import Deployment
from tests.harness.tasks.event_lines import BEGINNING, steps, story

MakeDeployment = Callable[..., Deployment]


@pytest.mark.long
def test_a_step_that_holds_the_interpreter_for_longer_than_the_lease_keeps_it(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=3, heartbeat_seconds=0.3)
    instance = deployment.new_instance()
    task_id = deployment.submit(instance, "odd", {"thing": "hold 8"})
    assert deployment.wait_for_task(task_id)["status"] == "COMPLETED"
    assert story(deployment.events(instance)) == [*BEGINNING, *steps(1, "hold"), "1: COMPLETED"]


@pytest.mark.long
def test_a_killed_child_that_held_the_interpreter_is_lost_at_once(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=600)
    instance = deployment.new_instance()
    task_id = deployment.submit(instance, "odd", {"thing": "hold 600"})
    deployment.wait_for_step(instance, task_id, "hold")
    deployment.workers[0].kill_child()
    deployment.wait_for_step(instance, task_id, "hold", attempt=2)


@pytest.mark.long
def test_a_step_that_holds_the_interpreter_can_be_cancelled(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=600, cancel_grace=0.5)
    instance = deployment.new_instance()
    task_id = deployment.submit(instance, "odd", {"thing": "hold 600"})
    deployment.wait_for_step(instance, task_id, "hold")
    task_service.cancel(deployment.runtime(), task_id)
    assert deployment.wait_for_task(task_id)["status"] == "CANCELLED"
    # Another child replaced the one that did not react.
    assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"


@pytest.mark.long
def test_a_step_that_holds_the_interpreter_is_retried_elsewhere_when_its_worker_stops(
    fast_deployment: MakeDeployment,
) -> None:
    deployment = fast_deployment(lease_seconds=600, cancel_grace=0.5, shutdown_grace=0.5)
    instance = deployment.new_instance()
    task_id = deployment.submit(instance, "odd", {"thing": "hold 600"})
    deployment.wait_for_step(instance, task_id, "hold")
    deployment.workers[0].stop_warm()
    deployment.wait_for_event(instance, lambda event: event["data"].get("status") == "RETRYING", "the task is released")
    assert deployment.workers[0].wait() == 0
    lines = story(deployment.events(instance))
    assert lines[3:6] == ["1: hold in_progress", "1: hold failed worker_stopped", "1: RETRYING worker_stopped"]
