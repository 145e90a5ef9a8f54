"""What a worker's processes and beat count can be scraped: children, their parent and the reaper added up."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.house import House
from tests.harness.ports import free_port
from tests.harness.processes import WorkerProcess
from tests.harness.waiting import wait_until
from tests.journey.tenants import NewHouse

pytestmark = [pytest.mark.journey, pytest.mark.long]


def _read(port: int) -> dict[str, float]:
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    except httpx.TransportError:
        return {}
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_worker_and_beat_serve_what_they_count(new_house: NewHouse) -> None:
    ports = free_port(), free_port()
    house: House = new_house(env={"worker_metrics_port": ports[0], "beat_metrics_port": ports[1]})
    instance = house.new_instance()
    house.start_worker(concurrency=2)
    house.start_beat()
    tasks = [house.submit(instance, "echo", {"message": "hi"}) for _ in range(4)]
    for task_id in tasks:
        house.wait_for_task(task_id, "COMPLETED")

    def ran() -> dict[str, float]:
        return _read(ports[0])

    wait_until(lambda: ran().get("swallowtail_run_seconds_count COMPLETED") == 4, "the runs are counted", seen=ran)
    told = ran()
    assert told["swallowtail_task_moves_total COMPLETED"] == 4
    assert told["swallowtail_step_seconds_count completed"] >= 4
    # The first sweep comes an interval after the start, which may be later than all runs.
    for port in ports:
        wait_until(lambda port=port: _read(port).get("swallowtail_sweeps_total done", 0) > 0, "a sweep is counted")  # type: ignore[misc]
    beat = _read(ports[1])
    assert beat["swallowtail_beat_lag_seconds"] == 0
    assert beat["swallowtail_tasks QUEUED"] == 0


def test_a_worker_removes_what_killed_ones_left_for_their_numbers_and_nothing_of_others(
    new_house: NewHouse, tmp_path: Path
) -> None:
    house = new_house(env={"sweep_interval": 0.3})

    def start() -> WorkerProcess:
        return house.start_worker(env={"TMPDIR": str(tmp_path), "worker_metrics_port": free_port()})

    def left() -> set[Path]:
        return set(tmp_path.glob("swallowtail-worker-*"))

    # Of another program, or of a release that held nothing.
    (tmp_path / "swallowtail-worker-other").mkdir()
    others = left()
    first = start()
    [killed] = left() - others
    first.kill()
    second = start()
    [kept] = left() - others
    assert kept != killed
    start()
    assert kept in left()
    assert len(left() - others) == 2
    assert others <= left()
    second.terminate()
    second.wait()
    assert kept not in left()
