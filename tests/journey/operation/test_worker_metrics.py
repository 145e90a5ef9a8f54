"""What a worker's processes and beat count can be scraped: children, their parent and the sweeper process added up."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx2
import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.tables.system import Worker
from swallowtail.workers.runtime.worker_runtime import pid_namespace
from tests.harness.deployment import Deployment
from tests.harness.processes import WebProcess, WorkerProcess
from tests.harness.system.ports import free_port
from tests.harness.waiting import wait_until
from tests.journey.authenticated_deployment import NewDeployment

pytestmark = [pytest.mark.journey, pytest.mark.long]


#: The metrics of a deployment: name, type, and the processes that report it.
METRICS = {
    "tasks by state": ("swallowtail_tasks", "gauge", "web beat"),
    "queue depth": ("swallowtail_queue_depth", "gauge", "web beat"),
    "oldest age": ("swallowtail_tasks_oldest_wait_seconds", "gauge", "web beat"),
    "run durations": ("swallowtail_run_seconds", "histogram", "worker"),
    "step durations": ("swallowtail_step_seconds", "histogram", "worker"),
    "ends and retries": ("swallowtail_task_moves", "counter", "worker"),
    "retries of steps": ("swallowtail_step_retries", "counter", "worker"),
    "live workers": ("swallowtail_workers", "gauge", "web beat"),
    "beat lag": ("swallowtail_beat_lag_seconds", "gauge", "web beat"),
    "use of the pool": ("swallowtail_database_connections", "gauge", "web worker beat"),
    "size of the pool": ("swallowtail_database_pool_limit", "gauge", "web worker beat"),
    "sweeps": ("swallowtail_sweeps", "counter", "web worker beat"),
}
#: One task for each kind of end except expiry; the test cancels `cancelled`.
INPUTS: dict[str, dict[str, object]] = {
    "COMPLETED": {"steps": 2, "fail_at": 1},
    "FAILED": {"steps": 1, "fail_at": 1, "error": "permanent"},
    "CANCELLED": {"steps": 1, "seconds": 300},
}


def _families(port: int) -> dict[str, Metric]:
    try:
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    except httpx2.TransportError:
        return {}
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


def _read(port: int) -> dict[str, float]:
    samples = [sample for family in _families(port).values() for sample in family.samples]
    received = {s.name + "".join(f" {value}" for _, value in sorted(s.labels.items())): s.value for s in samples}
    assert len(received) == len(samples)
    return received


def test_web_worker_and_beat_report_the_metrics_of_a_deployment(new_deployment: NewDeployment, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    quick = {"sweep_interval": 0.3, "broker_check": 0.3, "backoff_base": 0.05}
    deployment: Deployment = new_deployment(
        env={"worker_metrics_port": ports[0], "beat_metrics_port": ports[1], **quick}
    )
    instance = deployment.new_instance()
    web = deployment.start_web()
    deployment.start_beat()
    deployment.wait_for_task(deployment.submit(instance, "echo", {"message": "hi"}, expires_in=0.2), "EXPIRED")
    assert _states(web)["workers"] == "degraded"
    # Of another worker: no two workers count in the same directory.
    worker = deployment.start_worker(concurrency=2, env={"PROMETHEUS_MULTIPROC_DIR": tmp_path, "TMPDIR": tmp_path})
    tasks = {status: deployment.submit(instance, "probe", payload) for status, payload in INPUTS.items()}
    deployment.wait_for_step(instance, tasks["CANCELLED"], "step-1")
    _check_pools(web.port, *ports)
    task_service.cancel(deployment.runtime(), tasks["CANCELLED"])
    for status, task_id in tasks.items():
        deployment.wait_for_task(task_id, status)
    _wait_for_runs(ports[0], dict.fromkeys(("RETRYING", *INPUTS), 1))
    _check_counts(ports[0])
    files = set(tmp_path.rglob("*_child*.db"))
    assert files
    _replace_children(worker)
    for _ in range(4):
        deployment.wait_for_task(deployment.submit(instance, "echo", {"message": "hi"}), "COMPLETED")
    _wait_for_runs(ports[0], {**dict.fromkeys(("RETRYING", *INPUTS), 1), "COMPLETED": 5})
    # What takes the place of a child goes on with its numbers, in its files.
    assert set(tmp_path.rglob("*_child*.db")) == files
    for port in (web.port, ports[1]):
        _check_idle(port)
    with deployment.runtime().db.read() as session:
        # By more than the name of its host, which several containers may share.
        assert session.scalars(select(Worker.id)).one().endswith(f":{pid_namespace()}:{worker.pid}")
    expired = [_read(port).get("swallowtail_task_moves_total EXPIRED", 0) for port in (web.port, *ports)]
    assert sum(expired) == 1
    assert set(_states(web).values()) == {"ok"}
    _check_table({"web": web.port, "worker": ports[0], "beat": ports[1]})


def _states(web: WebProcess) -> dict[str, str]:
    parts = httpx2.get(web.url + "/readyz", timeout=30).json()["components"]
    return {name: part["status"] for name, part in parts.items()}


def _wait_for_runs(port: int, counts: dict[str, int]) -> None:
    name = "swallowtail_run_seconds_count "

    def ran() -> dict[str, float]:
        return {key.removeprefix(name): value for key, value in _read(port).items() if key.startswith(name)}

    wait_until(lambda: ran() == counts, "the runs are counted", seen=ran)


def _check_counts(port: int) -> None:
    received = _read(port)
    assert {received[f"swallowtail_task_moves_total {status}"] for status in ("RETRYING", *INPUTS)} == {1}
    assert received["swallowtail_step_retries_total"] == 1
    assert received["swallowtail_step_seconds_count completed"] == 2
    # By the names of their labels: what a run became stands before a bucket's limit, the status of a step after it.
    assert received["swallowtail_run_seconds_bucket COMPLETED +Inf"] == 1
    assert received["swallowtail_step_seconds_bucket +Inf completed"] == 2


def _check_idle(port: int) -> None:
    wait_until(lambda: _read(port).get("swallowtail_queue_depth") == 0, "the queue is empty")
    received = _read(port)
    assert (received["swallowtail_workers"], received["swallowtail_beat_lag_seconds"]) == (1, 0)
    assert (received["swallowtail_tasks QUEUED"], received["swallowtail_tasks_oldest_wait_seconds"]) == (0, 0)


def _check_pools(*ports: int) -> None:
    """Each process has connections, and none of them more than it may."""
    for port in ports:
        # A worker is ready before its sweeper process serves.
        received = wait_until(lambda port=port: _read(port), "it serves its numbers")  # type: ignore[misc]
        name = "swallowtail_database_connections"
        assert 0 < received[f"{name} in_use"] + received[f"{name} idle"] <= received["swallowtail_database_pool_limit"]


def _replace_children(worker: WorkerProcess) -> None:
    before = worker.pool()
    for child in before:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: len(worker.pool()) == 2 and not set(before) & set(worker.pool()), "others take their places")


def _check_table(ports: dict[str, int]) -> None:
    for what, (name, kind, places) in METRICS.items():
        for place in places.split():
            family = _families(ports[place]).get(name)
            assert family is not None, (what, place)
            assert (family.type, bool(family.documentation), bool(family.samples)) == (kind, True, True), (what, place)


def test_a_worker_removes_the_metric_files_of_killed_workers_and_no_others(
    new_deployment: NewDeployment, tmp_path: Path
) -> None:
    deployment = new_deployment(env={"sweep_interval": 0.3, "worker_metrics_port": free_port()})
    port = int(deployment.env["SWALLOWTAIL_WORKER_METRICS_PORT"])

    def start() -> WorkerProcess:
        return deployment.start_worker(env={"TMPDIR": str(tmp_path)})

    def left() -> set[Path]:
        return set(tmp_path.glob("swallowtail-worker-*"))

    # Of another program, or of a release that held nothing.
    (tmp_path / "swallowtail-worker-other").mkdir()
    others = left()
    first = start()
    [killed] = left() - others
    first.kill()
    second = start()
    [remaining] = left() - others
    assert remaining != killed
    third = start()
    assert remaining in left()
    wait_until(lambda: "metrics_not_served" in third.log_text(), "the port is the other's")
    assert len(left() - others) == 2
    assert others <= left()
    second.terminate()
    second.wait()
    assert remaining not in left()
    wait_until(lambda: _read(port), "the third serves on the port that is free now")
