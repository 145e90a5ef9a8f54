"""A distributed deployment by settings: PostgreSQL, Redis, RabbitMQ, and several of each process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.deployment import Deployment
from tests.harness.received_events import assert_contiguous
from tests.harness.recorder import ResumingRecorder

pytestmark = pytest.mark.journey


def test_several_processes_share_the_work_and_the_watching(
    new_deployment: Callable[..., Deployment], postgres_url: str, rabbit_url: str
) -> None:
    deployment = new_deployment(database_url=postgres_url, broker_url=rabbit_url, tcp=True)
    for _ in range(2):
        deployment.start_worker(concurrency=2, wait=False)
        deployment.start_web(wait=False)
    deployment.start_beat(wait=False)
    for program in deployment.programs():
        program.wait_ready()
    instance = deployment.new_instance()
    with ResumingRecorder(deployment.webs[0].url) as one, ResumingRecorder(deployment.webs[1].url) as other:
        one.follow(instance)
        other.follow(instance)
        tasks = [deployment.submit(instance, "probe", {"steps": 3, "seconds": 0.1}) for _ in range(8)]
        assert {deployment.wait_for_task(task)["status"] for task in tasks} == {"COMPLETED"}
        log = deployment.events(instance)
        for client in (one, other):
            assert client.wait_for_log(instance, log[-1]["seq"]) == log
            assert_contiguous(client.log(instance))
    for program in (*deployment.beats, *deployment.workers, *deployment.webs):
        assert program.terminate() == 0, program.tail()
