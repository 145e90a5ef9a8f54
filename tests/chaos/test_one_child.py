"""Two runs in one pool child: neither finds what the other changed, and both may use processes of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.house import House


@pytest.mark.long
def test_what_a_run_changes_in_its_process_does_not_reach_the_next(limited_house: House) -> None:
    instance = limited_house.new_instance()

    def do(thing: str) -> list[object]:
        task = limited_house.wait_for_task(limited_house.submit(instance, "odd", {"thing": thing}))
        assert task["status"] == "COMPLETED"
        return list(task["result"])

    before = do("look")
    assert do("change") == ["/", "changed", 5000, True]
    assert do("look") == before
    assert before[1] is None


@pytest.mark.long
def test_a_step_may_use_multiprocessing(brisk_house: Callable[..., House]) -> None:
    house = brisk_house(lease_seconds=600)
    task = house.wait_for_task(house.submit(house.new_instance(), "odd", {"thing": "processes"}))
    assert (task["status"], task["result"]) == ("COMPLETED", [1, 2, 3])
