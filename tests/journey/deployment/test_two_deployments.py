"""Two deployments on one Redis: neither runs the other's tasks nor receives its events."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from tests.harness.deployment import Deployment
from tests.harness.recorder import Recorder

TASKS = 4


@pytest.mark.long
@pytest.mark.parametrize("number", [0, 3])
def test_two_deployments_on_one_redis_do_not_interfere(new_deployment: Callable[..., Deployment], number: int) -> None:
    first = new_deployment(env={"queue": "swallowtail"}, tcp=True)
    second = new_deployment(env={"queue": "swallowtail", "redis_url": f"{first.redis.url.rpartition('/')[0]}/{number}"})
    # The tests copy one template; a deployment of its own has an identity of its own.
    with sqlite3.connect(second.root / "swallowtail.db") as database:
        database.execute("DELETE FROM deployment")
    database.close()
    deployments = (first, second)
    for deployment in deployments:
        deployment.start_worker()
        deployment.start_web()
    with Recorder(first.webs[0].url) as first_recorder, Recorder(second.webs[0].url) as second_recorder:
        recorders = (first_recorder, second_recorder)
        # Both have an instance of this id.
        instance = first.settings.demo_instance
        for recorder in recorders:
            recorder.subscribe(instance)
        tasks = [
            [deployment.submit(instance, "probe", {"steps": 1}) for _ in range(TASKS)] for deployment in deployments
        ]
        for recorder, ids in zip(recorders, tasks, strict=True):
            for task_id in ids:
                recorder.wait_for_status(task_id, "COMPLETED")
        for deployment, ids in zip(deployments, tasks, strict=True):
            assert {deployment.wait_for_task(task_id)["attempt"] for task_id in ids} == {1}
        for recorder, ids in zip(recorders, tasks, strict=True):
            assert {payload["task_id"] for payload in recorder.payloads("task_update")} == set(ids)
