"""A new agent is rolled out: workers that do not know it yet leave its tasks to those that do."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.core.fleet import live_kinds
from tests.harness.brisk import BRISK
from tests.harness.house import House
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.long


def kinds_of(house: House) -> dict[str, int]:
    with house.runtime().db.read() as session:
        return live_kinds(session)


def test_no_task_of_a_new_kind_fails_during_a_rolling_start(new_house: Callable[..., House]) -> None:
    house = new_house(env={**BRISK, "announce_interval": 0.2})
    old = house.start_worker(concurrency=2, env={"agents": ""})
    wait_until(lambda: kinds_of(house).get("echo") == 1, "the old worker has said what it knows")
    instance = house.new_instance()
    said = json.loads(house.cli("enqueue", "odd", "--instance", instance, "--set", "thing=twice", "--json").stdout)
    assert [warning["code"] for warning in said["warnings"]] == ["no_worker"]
    given = {"path": str(house.root)}
    tasks = [house.submit(instance, "gate", given) for _ in range(12)]
    wait_until(
        lambda: any(house.task(task)["message"].startswith("Waiting for a worker") for task in tasks),
        "the old worker has given some back",
    )
    house.start_worker(concurrency=2)
    assert [house.wait_for_task(task)["status"] for task in tasks] == ["COMPLETED"] * 12
    old.stop_warm()
    assert old.wait() == 0
    wait_until(lambda: kinds_of(house).get("echo") == 1, "the old worker has said that it goes")
    assert kinds_of(house)["gate"] == 1
