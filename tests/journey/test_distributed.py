"""The distributed deployment: PostgreSQL, Redis on a port and RabbitMQ by settings, and several of each process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.house import House
from tests.harness.inbox import assert_contiguous
from tests.harness.recorder import ResumingRecorder

pytestmark = pytest.mark.journey


def test_several_processes_share_the_work_and_the_watching(
    new_house: Callable[..., House], postgres_url: str, rabbit_url: str
) -> None:
    house = new_house(database_url=postgres_url, broker_url=rabbit_url, tcp=True)
    for _ in range(2):
        house.start_worker(concurrency=2, wait=False)
        house.start_web(wait=False)
    house.start_beat(wait=False)
    for program in house.programs():
        program.wait_ready()
    instance = house.new_instance()
    with ResumingRecorder(house.webs[0].url) as one, ResumingRecorder(house.webs[1].url) as other:
        one.follow(instance)
        other.follow(instance)
        tasks = [house.submit(instance, "probe", {"steps": 3, "seconds": 0.1}) for _ in range(8)]
        assert {house.wait_for_task(task)["status"] for task in tasks} == {"COMPLETED"}
        log = house.events(instance)
        for client in (one, other):
            assert client.wait_for_log(instance, log[-1]["seq"]) == log
            assert_contiguous(client.log(instance))
    for program in (*house.beats, *house.workers, *house.webs):
        assert program.terminate() == 0, program.tail()
