"""Workers that are killed or suspended in the middle of a step."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.harness.deployment import Deployment
from tests.harness.processes import WorkerProcess
from tests.harness.tasks.event_lines import story
from tests.harness.tasks.paused_step import LOST_WHILE_PAUSED, UNTIL_PAUSE, after_pause, release_task, start_paused
from tests.harness.waiting import wait_until

MakeDeployment = Callable[..., Deployment]


def command_line(pid: int) -> bytes:
    """Return the command line of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def suspend(deployment: Deployment, worker: WorkerProcess) -> None:
    """Suspend a worker, but not during a write, which would block all others on SQLite."""
    connection = sqlite3.connect(deployment.root / "swallowtail.db", isolation_level=None, timeout=1)

    def is_suspended() -> bool:
        worker.pause()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            worker.resume()
            return False
        connection.execute("ROLLBACK")
        return True

    wait_until(is_suspended, "the worker is suspended outside of a write", every=0.1)
    connection.close()


def test_a_killed_pool_child_is_lost_at_once(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=600)
    instance, task_id, release = start_paused(deployment)
    deployment.workers[0].kill_child()
    deployment.wait_for_step(instance, task_id, "wait", attempt=2)
    assert release_task(deployment, task_id, release) == 2
    assert story(deployment.events(instance)) == [
        *UNTIL_PAUSE,
        *LOST_WHILE_PAUSED,
        "2: wait in_progress",
        *after_pause(2),
    ]


def test_a_killed_worker_is_lost_when_its_lease_lapses(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=4)
    instance, task_id, release = start_paused(deployment)
    children = deployment.workers[0].descendants()
    deployment.workers[0].kill_main()
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in children), "children and sweeper end too")
    deployment.start_worker(concurrency=1)
    deployment.wait_for_step(instance, task_id, "wait", attempt=2)
    assert release_task(deployment, task_id, release) == 2
    assert story(deployment.events(instance)) == [
        *UNTIL_PAUSE,
        *LOST_WHILE_PAUSED,
        "2: wait in_progress",
        *after_pause(2),
    ]


def test_a_suspended_worker_that_resumes_changes_nothing(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=5)
    instance, task_id, release = start_paused(deployment)
    suspended = deployment.workers[0]
    suspend(deployment, suspended)
    deployment.start_worker(concurrency=1)
    deployment.wait_for_step(instance, task_id, "wait", attempt=2)
    release.touch()
    deployment.wait_for_task(task_id, "COMPLETED")
    expected = [*UNTIL_PAUSE, *LOST_WHILE_PAUSED, "2: wait in_progress", *after_pause(2)]
    assert story(deployment.events(instance)) == expected
    suspended.resume()
    suspended.wait_for_log("run_ended")
    assert story(deployment.events(instance)) == expected
    # The resumed worker runs tasks again.
    deployment.workers[1].terminate()
    assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"


def test_a_task_that_keeps_killing_its_worker_fails(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(max_losses=2, lease_seconds=600)
    instance, release = deployment.new_instance(), deployment.root / "paused"
    task_id = deployment.submit(instance, "paused", {"path": str(release)})
    for attempt in (1, 2, 3):
        deployment.wait_for_step(instance, task_id, "wait", attempt=attempt)
        deployment.workers[0].kill_child()
    assert deployment.wait_for_task(task_id)["status"] == "FAILED"
    again = ["2: wait in_progress", *[line.replace("1:", "2:") for line in LOST_WHILE_PAUSED[:3]], "3: IN_PROGRESS"]
    ending = ["3: wait in_progress", "3: wait failed worker_lost", "3: FAILED worker_lost"]
    assert story(deployment.events(instance)) == [*UNTIL_PAUSE, *LOST_WHILE_PAUSED, *again, *ending]


def test_the_sweeper_process_is_restarted(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment()
    worker = deployment.workers[0]

    def sweepers() -> list[int]:
        return [pid for pid in worker.descendants() if b"swallowtail.workers.sweeper_process" in command_line(pid)]

    (first,) = wait_until(sweepers, "the worker has a sweeper process")
    deployment.run(["-c", f"import os; os.kill({first}, 9)"])
    (second,) = wait_until(lambda: [pid for pid in sweepers() if pid != first], "the worker has another one")
    assert second != first
    assert (
        deployment.wait_for_task(deployment.submit(deployment.new_instance(), "probe", {"steps": 1}))["status"]
        == "COMPLETED"
    )
