"""Two runs in one pool child: neither sees changes of the other, and both may start processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.harness.deployment import Deployment


@pytest.mark.long
def test_changes_of_the_process_by_one_run_do_not_reach_the_next(limited_deployment: Deployment) -> None:
    run_thing = partial(_do, limited_deployment, limited_deployment.new_instance())
    before = run_thing("look")
    assert run_thing("change") == ["/", "changed", 5000, True, 50, "changed"]
    assert run_thing("look") == before
    assert before[1] is None


@pytest.mark.long
def test_a_child_with_a_thread_that_cannot_be_ended_is_replaced_before_the_next_run(
    limited_deployment: Deployment,
) -> None:
    run_thing = partial(_do, limited_deployment, limited_deployment.new_instance())
    first, has_thread = run_thing("leave a thread")
    assert has_thread
    second = run_thing("look for a thread")
    assert second[0] != first
    assert second[1] is False
    assert run_thing("look for a thread") == second, "another run that leaves nothing is no reason for another child"


def _do(deployment: Deployment, instance: str, thing: str) -> list[object]:
    task = deployment.wait_for_task(deployment.submit(instance, "odd", {"thing": thing}))
    assert (task["status"], task["attempt"]) == ("COMPLETED", 1)
    return list(task["result"])


@pytest.mark.long
def test_a_step_may_use_multiprocessing(fast_deployment: Callable[..., Deployment]) -> None:
    deployment = fast_deployment(lease_seconds=600)
    task = deployment.wait_for_task(deployment.submit(deployment.new_instance(), "odd", {"thing": "processes"}))
    assert (task["status"], task["result"]) == ("COMPLETED", [1, 2, 3])
