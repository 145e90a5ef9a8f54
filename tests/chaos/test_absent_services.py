"""Redis and the database away, locked or restarted: the last part of the fault table."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from tests.harness.gate import LOST_THERE, UNTIL_GATE, after_gate, at_the_gate, let_through
from tests.harness.house import House
from tests.harness.servers import PostgresServer, RabbitServer
from tests.harness.story import BEGINNING, story
from tests.harness.waiting import wait_until

MakeHouse = Callable[..., House]

PROBED = [*BEGINNING, "1: step-1 in_progress", "1: step-1 completed", "1: 100%", "1: COMPLETED"]


@contextmanager
def locked(house: House) -> Iterator[None]:
    """Hold the write lock of the SQLite database, as a backup or a stuck program would."""
    connection = sqlite3.connect(house.root / "swallowtail.db", isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def wait_for_count(house: House, text: str, times: int) -> None:
    """Wait until the worker has logged something so many times."""
    worker = house.workers[0]
    worker.wait_for(lambda: worker.log_text().count(text) == times, f"the worker logs {text!r} {times} times")


def still_works(house: House, instance: str) -> None:
    """The worker that was there all along performs a new task."""
    assert all(worker.is_running for worker in house.workers)
    task_id = house.submit(instance, "probe", {"steps": 1})
    assert house.wait_for_task(task_id)["status"] == "COMPLETED"
    assert story(house.events(instance, task_id)) == PROBED


@pytest.mark.parametrize("slots", [1, 2])
def test_a_step_survives_a_restart_of_redis(brisk_house: MakeHouse, slots: int) -> None:
    house = brisk_house(worker=False)
    house.start_worker(concurrency=slots)
    instance, task_id, gate = at_the_gate(house)
    for outage in (1, 2):
        house.redis.kill()
        wait_for_count(house, "Connection to broker lost", outage)
        house.redis.start()
        wait_for_count(house, "Connected to", outage + 1)
    assert let_through(house, task_id, gate) == 1
    assert story(house.events(instance)) == [*UNTIL_GATE, *after_gate(1)]
    still_works(house, instance)


def test_a_step_survives_a_redis_that_hangs(brisk_house: MakeHouse) -> None:
    house = brisk_house()
    instance, task_id, gate = at_the_gate(house)
    house.redis.pause()
    assert let_through(house, task_id, gate) == 1
    assert story(house.events(instance)) == [*UNTIL_GATE, *after_gate(1)]
    house.redis.resume()
    still_works(house, instance)


def test_a_task_submitted_while_redis_is_away_runs_when_it_is_back(brisk_house: MakeHouse) -> None:
    house = brisk_house()
    house.redis.kill()
    instance = house.new_instance()
    task_id = house.submit(instance, "probe", {"steps": 1})
    time.sleep(1)
    assert story(house.events(instance)) == ["SUBMITTED"]
    house.redis.start()
    assert house.wait_for_task(task_id)["status"] == "COMPLETED"
    assert story(house.events(instance)) == PROBED


def test_a_message_that_redis_forgot_is_sent_again(brisk_house: MakeHouse) -> None:
    house = brisk_house(worker=False)
    instance = house.new_instance()
    task_id = house.submit(instance, "probe", {"steps": 1})
    assert house.task(task_id)["status"] == "QUEUED"
    house.redis.restart()
    house.start_worker(concurrency=1)
    assert house.wait_for_task(task_id)["status"] == "COMPLETED"
    assert story(house.events(instance)) == PROBED


def test_a_step_outlasts_a_short_lock_of_the_database(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=60)
    instance, task_id, gate = at_the_gate(house)
    with locked(house):
        gate.touch()
        house.workers[0].wait_for_log("heartbeat_failed")
    assert let_through(house, task_id, gate) == 1
    assert story(house.events(instance)) == [*UNTIL_GATE, *after_gate(1)]


def test_a_run_stops_itself_when_the_database_is_locked_for_longer_than_its_lease(brisk_house: MakeHouse) -> None:
    house = brisk_house(lease_seconds=4)
    instance, task_id, gate = at_the_gate(house)
    with locked(house):
        # Nobody can have told it: it knows by its own clock that the lease is over.
        house.workers[0].wait_for_log("how=gone")
    house.wait_for_step(instance, task_id, "wait", attempt=2)
    assert let_through(house, task_id, gate) == 2
    assert story(house.events(instance)) == [*UNTIL_GATE, *LOST_THERE, "2: wait in_progress", *after_gate(2)]


def test_a_step_outlasts_a_restart_of_postgres(brisk_house: MakeHouse) -> None:
    server = PostgresServer()
    try:
        house = brisk_house(database_url=server.start().create_database(), lease_seconds=60)
        instance, task_id, gate = at_the_gate(house)
        server.signal(signal.SIGINT)  # a fast shutdown: clients are cut off, nothing committed is lost
        server.wait()
        gate.touch()
        house.workers[0].wait_for_log("heartbeat_failed")
        server.start()
        assert let_through(house, task_id, gate) == 1
        assert story(house.events(instance)) == [*UNTIL_GATE, *after_gate(1)]
        still_works(house, instance)
    finally:
        server.discard()


def test_a_run_waits_with_a_finished_step_while_postgres_takes_no_writes(brisk_house: MakeHouse) -> None:
    server = PostgresServer()

    def set_read_only(value: str) -> None:
        with psycopg.connect(server.url(), autocommit=True, options="-c default_transaction_read_only=off") as owner:
            owner.execute(sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(value))
            owner.execute("SELECT pg_reload_conf()")

    try:
        url = server.start().create_database()
        house = brisk_house(database_url=url, lease_seconds=4, database_wait=3)
        instance, task_id, gate = at_the_gate(house)
        set_read_only("on")
        gate.touch()
        # Each of these tries lasts for `database_wait`: together longer than a lease.
        wait_for_count(house, "run_paused", 3)
        set_read_only("off")
        assert let_through(house, task_id, gate) == 1
        assert story(house.events(instance)) == [*UNTIL_GATE, *after_gate(1)]
        still_works(house, instance)
    finally:
        server.discard()


def test_rabbitmq_may_be_killed_too(brisk_house: MakeHouse) -> None:
    server = RabbitServer()
    try:
        server.start()
        house = brisk_house(broker_url=server.url, lease_seconds=60)
        instance, task_id, gate = at_the_gate(house)
        later = house.submit(instance, "probe", {"steps": 1})
        server.kill()
        house.workers[0].wait_for_log("Cannot connect")
        server.start()
        assert let_through(house, task_id, gate) == 1
        assert house.wait_for_task(later)["status"] == "COMPLETED"
        assert story(house.events(instance, task_id)) == [*UNTIL_GATE, *after_gate(1)]
        assert story(house.events(instance, later)) == PROBED
    finally:
        server.discard()


def test_a_worker_that_starts_before_redis_waits_for_it(brisk_house: MakeHouse) -> None:
    house = brisk_house(worker=False)
    house.redis.kill()
    worker = house.start_worker(concurrency=1, wait=False)
    wait_until(lambda: "Cannot connect" in worker.log_text(), "the worker misses Redis", seen=worker.tail)
    house.redis.start()
    worker.wait_ready()
    still_works(house, house.new_instance())
