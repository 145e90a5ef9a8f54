"""A worker is registered before it takes a task, and no longer once it stops or is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from swallowtail.app.core.coordination.worker_registry import live_kinds
from tests.harness.deployment import Deployment
from tests.harness.processes import WorkerProcess
from tests.harness.tasks.paused_step import release_task, start_paused
from tests.harness.waiting import wait_until

MakeDeployment = Callable[..., Deployment]
#: An agent that returns how many live workers know it.
COUNT = """
from pydantic import BaseModel
from swallowtail.app.core.coordination.worker_registry import live_kinds
from swallowtail.workers.registry.declaration import agent
from swallowtail.workers.runtime.worker_runtime import runtime
class CountInput(BaseModel):
    pass
@agent(kind="count", title="Count", input=CountInput)
def count(ctx, task_input):
    with runtime().db.read() as session:
        return live_kinds(session).get("count", 0)
"""
#: Seconds between two announcements, of which none comes during a test; and with which a lost worker is soon noticed.
NEVER_AGAIN, OFTEN = 3600, 0.3


def kinds_of(deployment: Deployment) -> dict[str, int]:
    with deployment.runtime().db.read() as session:
        return live_kinds(session)


def add_count(deployment: Deployment) -> None:
    """Add the agent to the deployment, with its card."""
    # Found there, as a project's agents are, without a setting.
    (deployment.root / "agents.py").write_text(COUNT)
    deployment.run(["-m", "swallowtail.workers.release"])


@pytest.mark.parametrize("concurrency", [1, 3])
def test_the_first_tasks_of_a_worker_find_it_registered(fast_deployment: MakeDeployment, concurrency: int) -> None:
    deployment = fast_deployment(worker=False, announce_interval=NEVER_AGAIN)
    add_count(deployment)
    instance = deployment.new_instance()
    tasks = [deployment.submit(instance, "count", {}) for _ in range(4)]
    deployment.start_worker(concurrency=concurrency)
    assert [deployment.wait_for_task(task)["result"] for task in tasks] == [1] * 4


def test_a_worker_that_restarts_itself_is_registered_again_by_the_same_id(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(worker=False, announce_interval=NEVER_AGAIN)
    add_count(deployment)
    worker, instance = deployment.start_worker(), deployment.new_instance()
    worker.signal(signal.SIGHUP)
    worker.wait_for(lambda: worker.log_text().count("ready.") == 2, "it has restarted")
    task_id = deployment.submit(instance, "count", {})
    assert deployment.wait_for_task(task_id)["result"] == 1


def test_a_lost_worker_is_forgotten_and_its_successor_of_the_same_name_is_registered(
    fast_deployment: MakeDeployment,
) -> None:
    deployment = fast_deployment(worker=False, announce_interval=OFTEN)
    add_count(deployment)
    worker, instance = deployment.start_worker(), deployment.new_instance()
    worker.kill()
    wait_until(lambda: kinds_of(deployment) == {}, "its registration has expired")
    task_id = deployment.submit(instance, "count", {})
    worker.env["SWALLOWTAIL_ANNOUNCE_INTERVAL"] = str(NEVER_AGAIN)
    worker.start(wait=False)
    assert deployment.wait_for_task(task_id)["result"] == 1


def test_a_worker_whose_main_process_is_killed_is_withdrawn_by_its_sweeper(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(announce_interval=NEVER_AGAIN)
    assert kinds_of(deployment)["probe"] == 1
    deployment.workers[0].kill_main()
    wait_until(lambda: kinds_of(deployment) == {}, "the sweeper process has withdrawn it")


@pytest.mark.parametrize("stop", [WorkerProcess.stop_warm, WorkerProcess.stop_cold])
def test_a_worker_that_stopped_is_not_registered_however_short_it_ran(
    fast_deployment: MakeDeployment, stop: Callable[[WorkerProcess], None]
) -> None:
    deployment = fast_deployment(announce_interval=NEVER_AGAIN)
    assert kinds_of(deployment)["probe"] == 1
    stop(deployment.workers[0])
    deployment.workers[0].wait()
    assert kinds_of(deployment) == {}


def test_a_worker_that_finishes_its_runs_before_it_stops_is_not_registered(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(announce_interval=NEVER_AGAIN, shutdown_grace=600)
    _, task_id, release = start_paused(deployment)
    deployment.workers[0].stop_warm()
    wait_until(lambda: kinds_of(deployment) == {}, "its registration is withdrawn")
    assert deployment.task(task_id)["status"] == "IN_PROGRESS"
    release.touch()
    assert deployment.workers[0].wait() == 0
    assert kinds_of(deployment) == {}
    deployment.start_worker()
    assert release_task(deployment, task_id, release) == 2
