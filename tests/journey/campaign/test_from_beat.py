"""A campaign by schedule: real beats and a worker; each slot fires once, and all clients receive the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from swallowtail.app.core.events import now, stamp
from swallowtail.app.core.queries.rows import list_slots
from swallowtail.app.core.schemas.schedules import NewSchedule, SlotView
from swallowtail.app.core.services import schedules as schedule_service
from swallowtail.app.core.tables.schedules import Schedule
from tests.core.cron_oracle import next_slots
from tests.harness.deployment import Deployment
from tests.harness.received_events import assert_contiguous, shape
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.waiting import wait_until
from tests.journey.campaign_clients import BRIEF, CAMPAIGN, PATIENT, drop_on_the_way


def add(deployment: Deployment, instance: str, kind: str, payload: Any, **timing: Any) -> str:
    """Add a schedule that makes up for every slot, however long this machine stalls; its id."""
    schedule = NewSchedule(name="plan", kind=kind, input=payload, catch_up="all", **timing)
    return schedule_service.add_schedule(deployment.runtime(), instance, schedule)["id"]


def slots(deployment: Deployment, schedule: str) -> list[SlotView]:
    """Every slot decided so far, the earliest first."""
    with deployment.runtime().db.read() as session:
        return list_slots(session, schedule, 1000)[::-1]


def wait_for_slots(deployment: Deployment, schedule: str, count: int) -> None:
    wait_until(lambda: len(slots(deployment, schedule)) >= count, f"{count} slots are decided", every=0.1)


def fired_each_once(deployment: Deployment, schedule: str) -> list[str]:
    """Assert that every slot since the schedule was added has fired, once; the tasks, in the order of their slots."""
    decided = slots(deployment, schedule)
    with deployment.runtime().db.read() as session:
        stored = session.get(Schedule, schedule)
        assert stored is not None
        expected = next_slots(schedule_service.timing_of(stored), stored.created_at, len(decided))
    assert [slot["planned_at"] for slot in decided] == [stamp(slot) for slot in expected]
    assert {slot["outcome"] for slot in decided} == {"fired"}
    tasks = [slot["task_id"] for slot in decided if slot["task_id"]]
    assert len(set(tasks)) == len(decided)
    return tasks


@pytest.mark.long
def test_two_beats_fire_each_slot_of_a_campaign_once_and_all_clients_report_it_alike(
    new_deployment: Callable[..., Deployment],
) -> None:
    deployment = new_deployment(env=PATIENT)
    first, second = deployment.start_web(wait=False), deployment.start_web(wait=False)
    worker, *beats = (
        deployment.start_worker(wait=False),
        deployment.start_beat(wait=False),
        deployment.start_beat(wait=False),
    )
    for program in (first, second, worker, *beats):
        program.wait_ready()
    instance = deployment.new_instance()
    brief = {"brief": BRIEF.read_text(encoding="utf-8")}
    with Recorder(first.url) as old, ResumingRecorder(second.url) as resuming:
        old.subscribe(instance)
        resuming.follow(instance)
        schedule = add(deployment, instance, "social_campaign", brief, interval_seconds=4)

        stood_at = drop_on_the_way(deployment, resuming, instance, [first.url, second.url, first.url, second.url])
        wait_for_slots(deployment, schedule, 3)
        schedule_service.pause_schedule(deployment.runtime(), schedule)

        tasks = fired_each_once(deployment, schedule)
        assert len(tasks) >= 3
        for task in tasks:
            assert deployment.wait_for_task(task)["submitted_by"] == f"schedule:{schedule}"
        received = deployment.events(instance)
        assert_contiguous(received)
        assert [shape(deployment.events(instance, task)) for task in tasks] == [CAMPAIGN] * len(tasks)
        assert {event["task_id"] for event in received} == set(tasks)
        assert resuming.wait_for_log(instance, len(received)) == received
        old.wait_for_seq(instance, len(received))
        assert old.events() == received
        assert len(set(stood_at)) == 4
    assert [beat.terminate() for beat in beats] == [0, 0]
    assert list(deployment.root.glob("celerybeat*")) == []


@pytest.mark.long
def test_a_one_off_and_a_pause_from_the_command_line(deployment: Deployment) -> None:
    deployment.start_web()
    deployment.start_worker()
    deployment.start_beat()
    instance = deployment.new_instance()
    echo = ("echo", "--instance", instance, "--set", "message=hello")
    every = deployment.cli("schedule", "add", "every second", *echo, "--every", "1s").stdout.strip()
    wait_for_slots(deployment, every, 2)

    deployment.cli("schedule", "pause", every)
    paused_at = slots(deployment, every)
    moment = stamp(now() + timedelta(seconds=15))
    once = deployment.cli("schedule", "add", "once", *echo, "--at", str(moment)).stdout.strip()
    wait_for_slots(deployment, once, 1)

    assert [(slot["planned_at"], slot["outcome"]) for slot in slots(deployment, once)] == [(moment, "fired")]
    assert slots(deployment, every) == paused_at
    for task in [*fired_each_once(deployment, every), slots(deployment, once)[0]["task_id"]]:
        assert task is not None
        assert deployment.wait_for_task(task)["status"] == "COMPLETED"
    deployment.cli("schedule", "resume", every)
    wait_for_slots(deployment, every, len(paused_at) + 1)


@pytest.mark.long
def test_no_slot_is_lost_while_redis_is_away(deployment: Deployment) -> None:
    deployment.start_worker()
    instance = deployment.new_instance()
    deployment.redis.kill()
    beats = [deployment.start_beat(), deployment.start_beat()]
    schedule = add(deployment, instance, "echo", {"message": "hello"}, interval_seconds=1)

    wait_for_slots(deployment, schedule, 5)
    assert {deployment.task(task)["status"] for task in fired_each_once(deployment, schedule)} == {"SUBMITTED"}
    deployment.redis.start()
    wait_for_slots(deployment, schedule, 8)
    schedule_service.pause_schedule(deployment.runtime(), schedule)

    tasks = fired_each_once(deployment, schedule)
    assert {deployment.wait_for_task(task)["status"] for task in tasks} == {"COMPLETED"}
    assert_contiguous(deployment.events(instance))
    deployment.redis.kill()
    assert [beat.terminate() for beat in beats] == [0, 0]


@pytest.mark.long
def test_beats_that_are_killed_leave_no_slot_undecided_and_none_decided_twice(deployment: Deployment) -> None:
    instance = deployment.new_instance()
    schedule = add(deployment, instance, "echo", {"message": "hello"}, interval_seconds=1)
    one, other = deployment.start_beat(), deployment.start_beat()
    wait_for_slots(deployment, schedule, 2)

    for count, beat in ((4, one), (6, other), (8, one)):
        beat.kill()
        wait_for_slots(deployment, schedule, count)
        beat.start()
    one.kill()
    other.kill()

    fired_each_once(deployment, schedule)


@pytest.mark.long
def test_a_beat_outlives_a_database_that_is_locked_for_longer_than_it_waits(
    new_deployment: Callable[..., Deployment],
) -> None:
    deployment = new_deployment(env={"database_wait": 0.5})
    instance = deployment.new_instance()
    beat = deployment.start_beat()
    schedule = add(deployment, instance, "echo", {"message": "hello"}, interval_seconds=1)

    with deployment.runtime().db.write():
        beat.wait_for_log("beat_postponed")
    wait_for_slots(deployment, schedule, 2)

    fired_each_once(deployment, schedule)
    assert beat.terminate() == 0
