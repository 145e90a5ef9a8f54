"""Redis or the database is unavailable, locked or restarted."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from tests.harness.deployment import Deployment
from tests.harness.servers import PostgresServer, RabbitServer
from tests.harness.tasks.event_lines import BEGINNING, story
from tests.harness.tasks.paused_step import LOST_WHILE_PAUSED, UNTIL_PAUSE, after_pause, release_task, start_paused
from tests.harness.waiting import wait_until

MakeDeployment = Callable[..., Deployment]

PROBED = [*BEGINNING, "1: step-1 in_progress", "1: step-1 completed", "1: 100%", "1: COMPLETED"]


@contextmanager
def database_locked(deployment: Deployment) -> Iterator[None]:
    """Hold the write lock of the SQLite database, as a backup or a blocked program does."""
    connection = sqlite3.connect(deployment.root / "swallowtail.db", isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def wait_for_count(deployment: Deployment, text: str, times: int) -> None:
    """Wait until the worker has logged an event so many times."""
    worker = deployment.workers[0]
    worker.wait_for(lambda: worker.log_text().count(text) == times, f"the worker logs {text!r} {times} times")


def check_worker(deployment: Deployment, instance: str) -> None:
    """Assert that the same worker performs a new task."""
    assert all(worker.is_running for worker in deployment.workers)
    task_id = deployment.submit(instance, "probe", {"steps": 1})
    assert deployment.wait_for_task(task_id)["status"] == "COMPLETED"
    assert story(deployment.events(instance, task_id)) == PROBED


@pytest.mark.parametrize("slots", [1, 2])
def test_a_step_survives_a_restart_of_redis(fast_deployment: MakeDeployment, slots: int) -> None:
    deployment = fast_deployment(worker=False)
    deployment.start_worker(concurrency=slots)
    instance, task_id, release = start_paused(deployment)
    for outage in (1, 2):
        deployment.redis.kill()
        wait_for_count(deployment, "Connection to broker lost", outage)
        deployment.redis.start()
        wait_for_count(deployment, "Connected to", outage + 1)
    assert release_task(deployment, task_id, release) == 1
    assert story(deployment.events(instance)) == [*UNTIL_PAUSE, *after_pause(1)]
    check_worker(deployment, instance)


def test_a_step_survives_a_redis_that_hangs(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment()
    instance, task_id, release = start_paused(deployment)
    deployment.redis.pause()
    assert release_task(deployment, task_id, release) == 1
    assert story(deployment.events(instance)) == [*UNTIL_PAUSE, *after_pause(1)]
    deployment.redis.resume()
    check_worker(deployment, instance)


def test_a_task_submitted_while_redis_is_away_runs_when_it_is_back(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment()
    deployment.redis.kill()
    instance = deployment.new_instance()
    task_id = deployment.submit(instance, "probe", {"steps": 1})
    time.sleep(1)
    assert story(deployment.events(instance)) == ["SUBMITTED"]
    deployment.redis.start()
    assert deployment.wait_for_task(task_id)["status"] == "COMPLETED"
    assert story(deployment.events(instance)) == PROBED


def test_a_message_that_redis_forgot_is_sent_again(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(worker=False)
    instance = deployment.new_instance()
    task_id = deployment.submit(instance, "probe", {"steps": 1})
    assert deployment.task(task_id)["status"] == "QUEUED"
    deployment.redis.restart()
    deployment.start_worker(concurrency=1)
    assert deployment.wait_for_task(task_id)["status"] == "COMPLETED"
    assert story(deployment.events(instance)) == PROBED


def test_a_step_outlasts_a_short_lock_of_the_database(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(lease_seconds=60)
    instance, task_id, release = start_paused(deployment)
    with database_locked(deployment):
        release.touch()
        deployment.workers[0].wait_for_log("heartbeat_failed")
    assert release_task(deployment, task_id, release) == 1
    assert story(deployment.events(instance)) == [*UNTIL_PAUSE, *after_pause(1)]


def test_a_run_stops_itself_when_the_database_is_locked_for_longer_than_its_lease(
    fast_deployment: MakeDeployment,
) -> None:
    deployment = fast_deployment(lease_seconds=4)
    instance, task_id, release = start_paused(deployment)
    with database_locked(deployment):
        # It received no message: its own clock shows that the lease is over.
        deployment.workers[0].wait_for_log("outcome=abandon")
    deployment.wait_for_step(instance, task_id, "wait", attempt=2)
    assert release_task(deployment, task_id, release) == 2
    assert story(deployment.events(instance)) == [
        *UNTIL_PAUSE,
        *LOST_WHILE_PAUSED,
        "2: wait in_progress",
        *after_pause(2),
    ]


def test_a_step_outlasts_a_restart_of_postgres(fast_deployment: MakeDeployment) -> None:
    server = PostgresServer()
    try:
        deployment = fast_deployment(database_url=server.start().create_database(), lease_seconds=60)
        instance, task_id, release = start_paused(deployment)
        server.signal(signal.SIGINT)  # a fast shutdown: clients are cut off, nothing committed is lost
        server.wait()
        release.touch()
        deployment.workers[0].wait_for_log("heartbeat_failed")
        server.start()
        assert release_task(deployment, task_id, release) == 1
        assert story(deployment.events(instance)) == [*UNTIL_PAUSE, *after_pause(1)]
        check_worker(deployment, instance)
    finally:
        server.discard()


def test_a_run_waits_with_a_finished_step_while_postgres_takes_no_writes(fast_deployment: MakeDeployment) -> None:
    server = PostgresServer()

    def set_read_only(value: str) -> None:
        with psycopg.connect(server.url(), autocommit=True, options="-c default_transaction_read_only=off") as owner:
            owner.execute(sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(value))
            owner.execute("SELECT pg_reload_conf()")

    try:
        url = server.start().create_database()
        deployment = fast_deployment(database_url=url, lease_seconds=4, database_wait=3)
        instance, task_id, release = start_paused(deployment)
        set_read_only("on")
        release.touch()
        # Each try lasts for `database_wait`: together they exceed a lease.
        wait_for_count(deployment, "run_paused", 3)
        set_read_only("off")
        assert release_task(deployment, task_id, release) == 1
        assert story(deployment.events(instance)) == [*UNTIL_PAUSE, *after_pause(1)]
        check_worker(deployment, instance)
    finally:
        server.discard()


def test_a_step_survives_a_restart_of_rabbitmq(fast_deployment: MakeDeployment) -> None:
    server = RabbitServer()
    try:
        server.start()
        deployment = fast_deployment(broker_url=server.url, lease_seconds=60)
        instance, task_id, release = start_paused(deployment)
        later = deployment.submit(instance, "probe", {"steps": 1})
        server.kill()
        deployment.workers[0].wait_for_log("Cannot connect")
        server.start()
        assert release_task(deployment, task_id, release) == 1
        assert deployment.wait_for_task(later)["status"] == "COMPLETED"
        assert story(deployment.events(instance, task_id)) == [*UNTIL_PAUSE, *after_pause(1)]
        assert story(deployment.events(instance, later)) == PROBED
    finally:
        server.discard()


def test_a_worker_that_starts_before_redis_waits_for_it(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(worker=False)
    deployment.redis.kill()
    worker = deployment.start_worker(concurrency=1, wait=False)
    wait_until(
        lambda: "Cannot connect" in worker.log_text(), "the worker reports that Redis is absent", seen=worker.tail
    )
    deployment.redis.start()
    worker.wait_ready()
    check_worker(deployment, deployment.new_instance())
