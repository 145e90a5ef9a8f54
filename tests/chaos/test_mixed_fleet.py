"""A new agent is rolled out: workers without the agent leave its tasks to workers with it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from swallowtail.app.core.coordination.worker_registry import live_kinds
from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.long


def kinds_of(deployment: Deployment) -> dict[str, int]:
    with deployment.runtime().db.read() as session:
        return live_kinds(session)


def test_no_task_of_a_new_kind_fails_during_a_rolling_start(new_deployment: Callable[..., Deployment]) -> None:
    deployment = new_deployment(env={**BRISK, "announce_interval": 3600})
    deployment.start_web()
    old = deployment.start_worker(concurrency=2, env={"agents": ""})
    assert kinds_of(deployment)["echo"] == 1
    instance = deployment.new_instance()
    answer = json.loads(
        deployment.cli("enqueue", "odd", "--instance", instance, "--set", "thing=twice", "--json").stdout
    )
    assert [warning["code"] for warning in answer["warnings"]] == ["no_worker"]
    payload = {"path": str(deployment.root)}
    tasks = [deployment.submit(instance, "paused", payload) for _ in range(12)]
    wait_until(
        lambda: any(deployment.task(task)["message"].startswith("Waiting for a worker") for task in tasks),
        "the old worker has returned some",
    )
    deployment.start_worker(concurrency=2)
    assert [deployment.wait_for_task(task)["status"] for task in tasks] == ["COMPLETED"] * 12
    old.stop_warm()
    assert old.wait() == 0
    assert (kinds_of(deployment)["echo"], kinds_of(deployment)["paused"]) == (1, 1)
