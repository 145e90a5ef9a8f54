"""The main job by schedule: real beats and a worker; each slot once, and told alike to everybody who watches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.core import planning
from app.core.events import now, stamp
from app.core.models import Schedule
from app.core.planning import NewSchedule
from app.core.reads import list_slots
from app.core.schedules import preview
from app.core.views import SlotView
from tests.harness.house import House
from tests.harness.inbox import assert_contiguous, shape
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.waiting import wait_until
from tests.journey.campaign_told import BRIEF, CAMPAIGN, PATIENT, drop_on_the_way


def add(house: House, instance: str, kind: str, given: Any, **timing: Any) -> str:
    """Add a schedule that makes up for every slot, however long this machine stalls; its id."""
    wanted = NewSchedule(instance, "plan", kind, given, catch_up="all", **timing)
    return planning.add_schedule(house.runtime(), wanted)["id"]


def slots(house: House, schedule: str) -> list[SlotView]:
    """Every slot decided so far, the earliest first."""
    with house.runtime().db.read() as session:
        return list_slots(session, schedule, 1000)[::-1]


def wait_for_slots(house: House, schedule: str, count: int) -> None:
    wait_until(lambda: len(slots(house, schedule)) >= count, f"{count} slots are decided", every=0.1)


def fired_each_once(house: House, schedule: str) -> list[str]:
    """Assert that every slot since the schedule was added has fired, once; the tasks, in the order of their slots."""
    decided = slots(house, schedule)
    with house.runtime().db.read() as session:
        stored = session.get(Schedule, schedule)
        assert stored is not None
        expected = preview(planning.timing_of(stored), stored.created_at, len(decided))
    assert [slot["planned_at"] for slot in decided] == [stamp(slot) for slot in expected]
    assert {slot["outcome"] for slot in decided} == {"fired"}
    tasks = [slot["task_id"] for slot in decided if slot["task_id"]]
    assert len(set(tasks)) == len(decided)
    return tasks


@pytest.mark.long
def test_two_beats_fire_each_slot_of_a_campaign_once_and_everybody_is_told_alike(
    new_house: Callable[..., House],
) -> None:
    house = new_house(env=PATIENT)
    first, second = house.start_web(wait=False), house.start_web(wait=False)
    worker, *beats = house.start_worker(wait=False), house.start_beat(wait=False), house.start_beat(wait=False)
    for program in (first, second, worker, *beats):
        program.wait_ready()
    instance = house.new_instance()
    brief = {"brief": BRIEF.read_text(encoding="utf-8")}
    with Recorder(first.url) as old, ResumingRecorder(second.url) as resuming:
        old.subscribe(instance)
        resuming.follow(instance)
        schedule = add(house, instance, "social_campaign", brief, interval_seconds=4)

        stood_at = drop_on_the_way(house, resuming, instance, [first.url, second.url, first.url, second.url])
        wait_for_slots(house, schedule, 3)
        planning.pause_schedule(house.runtime(), schedule)

        tasks = fired_each_once(house, schedule)
        assert len(tasks) >= 3
        for task in tasks:
            assert house.wait_for_task(task)["submitted_by"] == f"schedule:{schedule}"
        told = house.events(instance)
        assert_contiguous(told)
        assert [shape(house.events(instance, task)) for task in tasks] == [CAMPAIGN] * len(tasks)
        assert {event["task_id"] for event in told} == set(tasks)
        assert resuming.wait_for_log(instance, len(told)) == told
        old.wait_for_seq(instance, len(told))
        assert old.events() == told
        assert len(set(stood_at)) == 4
    assert [beat.terminate() for beat in beats] == [0, 0]
    assert list(house.root.glob("celerybeat*")) == []


@pytest.mark.long
def test_a_one_off_and_a_pause_from_the_command_line(house: House) -> None:
    house.start_worker()
    house.start_beat()
    instance = house.new_instance()
    echo = ("echo", "--instance", instance, "--set", "message=hello")
    every = house.cli("schedule", "add", "every second", *echo, "--every", "1s").stdout.strip()
    wait_for_slots(house, every, 2)

    house.cli("schedule", "pause", every)
    paused_at = slots(house, every)
    moment = stamp(now() + timedelta(seconds=15))
    once = house.cli("schedule", "add", "once", *echo, "--at", str(moment)).stdout.strip()
    wait_for_slots(house, once, 1)

    assert [(slot["planned_at"], slot["outcome"]) for slot in slots(house, once)] == [(moment, "fired")]
    assert slots(house, every) == paused_at
    for task in [*fired_each_once(house, every), slots(house, once)[0]["task_id"]]:
        assert task is not None
        assert house.wait_for_task(task)["status"] == "COMPLETED"
    house.cli("schedule", "resume", every)
    wait_for_slots(house, every, len(paused_at) + 1)


@pytest.mark.long
def test_no_slot_is_lost_while_redis_is_away(house: House) -> None:
    house.start_worker()
    instance = house.new_instance()
    house.redis.kill()
    beats = [house.start_beat(), house.start_beat()]
    schedule = add(house, instance, "echo", {"message": "hello"}, interval_seconds=1)

    wait_for_slots(house, schedule, 5)
    assert {house.task(task)["status"] for task in fired_each_once(house, schedule)} == {"SUBMITTED"}
    house.redis.start()
    wait_for_slots(house, schedule, 8)
    planning.pause_schedule(house.runtime(), schedule)

    tasks = fired_each_once(house, schedule)
    assert {house.wait_for_task(task)["status"] for task in tasks} == {"COMPLETED"}
    assert_contiguous(house.events(instance))
    house.redis.kill()
    assert [beat.terminate() for beat in beats] == [0, 0]


@pytest.mark.long
def test_beats_that_are_killed_leave_no_slot_undecided_and_none_decided_twice(house: House) -> None:
    instance = house.new_instance()
    schedule = add(house, instance, "echo", {"message": "hello"}, interval_seconds=1)
    one, other = house.start_beat(), house.start_beat()
    wait_for_slots(house, schedule, 2)

    for count, beat in ((4, one), (6, other), (8, one)):
        beat.kill()
        wait_for_slots(house, schedule, count)
        beat.start()
    one.kill()
    other.kill()

    fired_each_once(house, schedule)


@pytest.mark.long
def test_a_beat_outlives_a_database_that_is_locked_for_longer_than_it_waits(new_house: Callable[..., House]) -> None:
    house = new_house(env={"database_wait": 0.5})
    instance = house.new_instance()
    beat = house.start_beat()
    schedule = add(house, instance, "echo", {"message": "hello"}, interval_seconds=1)

    with house.runtime().db.write():
        beat.wait_for_log("beat_postponed")
    wait_for_slots(house, schedule, 2)

    fired_each_once(house, schedule)
    assert beat.terminate() == 0
