"""The deletion of an instance, with a real web process and a worker in the middle of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import httpx2
import orjson
import pytest

from tests.harness.deployment import Deployment
from tests.harness.recorder import Recorder
from tests.harness.waiting import wait_until


def test_an_instance_is_exported_and_deleted_while_a_task_runs_in_it(shared_deployment: Deployment) -> None:
    export_and_delete(shared_deployment)


@pytest.mark.long
def test_it_is_on_postgresql_too(new_deployment: Callable[..., Deployment], postgres_url: str) -> None:
    deployment = new_deployment(database_url=postgres_url)
    deployment.start_worker(wait=False)
    deployment.start_web(wait=False)
    deployment.start_web(wait=False)
    for program in (*deployment.webs, *deployment.workers):
        program.wait_ready()
    export_and_delete(deployment)


def export_and_delete(deployment: Deployment) -> None:
    instance, other = deployment.new_instance(), deployment.new_instance()
    base = f"{deployment.webs[0].url}/api/v1"
    with httpx2.Client(base_url=base, timeout=60) as rest, Recorder(deployment.webs[1].url) as client:
        client.subscribe(instance)
        payload = {"kind": "probe", "input": {"steps": 2, "seconds": 3600}}
        task_id = rest.post(f"/instances/{instance}/tasks", json=payload).raise_for_status().json()["task"]["id"]
        deployment.wait_for_step(instance, task_id, "step-1")
        epoch = rest.get(f"/instances/{instance}").json()["epoch"]

        copied = rest.get(f"/instances/{instance}/export").raise_for_status().content
        manifest = orjson.loads(copied.splitlines()[-1])
        body = copied[: copied.rindex(b'{"kind":"manifest"')]
        assert manifest["sha256"] == hashlib.sha256(body).hexdigest()
        assert (manifest["lines"]["task"], manifest["lines"]["event"]) == (1, 4)

        rest.delete(f"/instances/{instance}", params={"confirm": instance}).raise_for_status()
        assert rest.get(f"/tasks/{task_id}").status_code == 404
        lost = {"instance_id": instance, "reason": "revoked"}
        wait_until(lambda: lost in client.payloads("reset"), "the watcher receives it")

        # The worker is free again: the run has lost its task.
        task_id = deployment.submit(other, "echo", {"message": "still there"})
        deployment.wait_for_task(task_id, "COMPLETED")
        again = rest.post("/instances", json={"name": "Again", "id": instance}).raise_for_status().json()
        assert (again["seq"], again["epoch"] != epoch) == (0, True)
