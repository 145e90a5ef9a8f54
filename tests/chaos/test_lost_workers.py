"""Workers that are killed or frozen in the middle of a step: the second part of the fault table."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.harness.gate import LOST_THERE, UNTIL_GATE, after_gate, at_the_gate, let_through
from tests.harness.house import House
from tests.harness.processes import WorkerProcess
from tests.harness.story import story
from tests.harness.waiting import wait_until

MakeHouse = Callable[..., House]


def command_line(pid: int) -> bytes:
    """The words a process was started with; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def freeze(house: House, worker: WorkerProcess) -> None:
    """Freeze a worker, but not in the middle of a write: that would freeze everybody on SQLite."""
    connection = sqlite3.connect(house.root / "swallowtail.db", isolation_level=None, timeout=1)

    def frozen() -> bool:
        worker.pause()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            worker.resume()
            return False
        connection.execute("ROLLBACK")
        return True

    wait_until(frozen, "the worker is frozen outside of a write", every=0.1)
    connection.close()


def test_a_killed_pool_child_is_lost_at_once(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=600)
    instance, task_id, gate = at_the_gate(house)
    house.workers[0].kill_child()
    house.wait_for_step(instance, task_id, "wait", attempt=2)
    assert let_through(house, task_id, gate) == 2
    assert story(house.events(instance)) == [*UNTIL_GATE, *LOST_THERE, "2: wait in_progress", *after_gate(2)]


def test_a_killed_worker_is_lost_when_its_lease_lapses(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=4)
    instance, task_id, gate = at_the_gate(house)
    children = house.workers[0].descendants()
    house.workers[0].kill_main()
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in children), "children and reaper end too")
    house.start_worker(concurrency=1)
    house.wait_for_step(instance, task_id, "wait", attempt=2)
    assert let_through(house, task_id, gate) == 2
    assert story(house.events(instance)) == [*UNTIL_GATE, *LOST_THERE, "2: wait in_progress", *after_gate(2)]


def test_a_zombie_changes_nothing(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=5)
    instance, task_id, gate = at_the_gate(house)
    zombie = house.workers[0]
    freeze(house, zombie)
    house.start_worker(concurrency=1)
    house.wait_for_step(instance, task_id, "wait", attempt=2)
    gate.touch()
    house.wait_for_task(task_id, "COMPLETED")
    told = [*UNTIL_GATE, *LOST_THERE, "2: wait in_progress", *after_gate(2)]
    assert story(house.events(instance)) == told
    zombie.resume()
    zombie.wait_for_log("run_ended")
    assert story(house.events(instance)) == told
    # It is a worker again, not a wreck.
    house.workers[1].terminate()
    assert house.wait_for_task(house.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"


def test_a_task_that_keeps_killing_its_worker_fails(brisk_house: MakeHouse) -> None:
    house = brisk_house(max_losses=2, lease_seconds=600)
    instance, gate = house.new_instance(), house.root / "gate"
    task_id = house.submit(instance, "gate", {"path": str(gate)})
    for attempt in (1, 2, 3):
        house.wait_for_step(instance, task_id, "wait", attempt=attempt)
        house.workers[0].kill_child()
    assert house.wait_for_task(task_id)["status"] == "FAILED"
    again = ["2: wait in_progress", *[line.replace("1:", "2:") for line in LOST_THERE[:3]], "3: IN_PROGRESS"]
    ending = ["3: wait in_progress", "3: wait failed worker_lost", "3: FAILED worker_lost"]
    assert story(house.events(instance)) == [*UNTIL_GATE, *LOST_THERE, *again, *ending]


def test_the_reaper_is_started_again(brisk_house: MakeHouse) -> None:
    house = brisk_house()
    worker = house.workers[0]

    def reapers() -> list[int]:
        return [pid for pid in worker.descendants() if b"workers.reaper" in command_line(pid)]

    (first,) = wait_until(reapers, "the worker has a reaper")
    house.run(["-c", f"import os; os.kill({first}, 9)"])
    (second,) = wait_until(lambda: [pid for pid in reapers() if pid != first], "the worker has another reaper")
    assert second != first
    assert house.wait_for_task(house.submit(house.new_instance(), "probe", {"steps": 1}))["status"] == "COMPLETED"
