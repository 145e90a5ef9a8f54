"""Steps that hold the interpreter, as C code may: no other thread of their process runs meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core import actions
from tests.harness.house import House
from tests.harness.story import BEGINNING, steps, story

MakeHouse = Callable[..., House]


@pytest.mark.long
def test_a_step_that_holds_the_interpreter_for_longer_than_the_lease_keeps_it(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=3, heartbeat_seconds=0.3)
    instance = house.new_instance()
    task_id = house.submit(instance, "odd", {"thing": "hold 8"})
    assert house.wait_for_task(task_id)["status"] == "COMPLETED"
    assert story(house.events(instance)) == [*BEGINNING, *steps(1, "hold"), "1: COMPLETED"]


@pytest.mark.long
def test_a_killed_child_that_held_the_interpreter_is_lost_at_once(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=600)
    instance = house.new_instance()
    task_id = house.submit(instance, "odd", {"thing": "hold 600"})
    house.wait_for_step(instance, task_id, "hold")
    house.workers[0].kill_child()
    house.wait_for_step(instance, task_id, "hold", attempt=2)


@pytest.mark.long
def test_a_step_that_holds_the_interpreter_can_be_cancelled(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=600, cancel_grace=0.5)
    instance = house.new_instance()
    task_id = house.submit(instance, "odd", {"thing": "hold 600"})
    house.wait_for_step(instance, task_id, "hold")
    actions.cancel(house.runtime(), task_id)
    assert house.wait_for_task(task_id)["status"] == "CANCELLED"
    # Another child took the place of the one that heard nothing.
    assert house.wait_for_task(house.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"


@pytest.mark.long
def test_a_step_that_holds_the_interpreter_is_handed_over_when_its_worker_stops(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=600, cancel_grace=0.5, shutdown_grace=0.5)
    instance = house.new_instance()
    task_id = house.submit(instance, "odd", {"thing": "hold 600"})
    house.wait_for_step(instance, task_id, "hold")
    house.workers[0].stop_warm()
    house.wait_for_event(instance, lambda event: event["data"].get("status") == "RETRYING", "the task is handed over")
    assert house.workers[0].wait() == 0
    told = story(house.events(instance))
    assert told[3:6] == ["1: hold in_progress", "1: hold failed worker_stopped", "1: RETRYING worker_stopped"]
