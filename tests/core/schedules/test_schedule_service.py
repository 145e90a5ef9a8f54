"""The service of schedules: which are accepted, and pausing, resuming and removing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound, SwallowtailError
from swallowtail.app.core.queries.rows import list_schedules
from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services import schedules as schedule_service
from tests.core.schedule_domain import Bench, moment, open_bench

ANONYMOUS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path) as bench:
        yield bench


def test_a_cron_schedule_is_stored_with_its_next_slot(bench: Bench) -> None:
    view = bench.add("08:00:00", name=" Morning ", cron="30  9 * * *", timezone="Europe/Berlin")

    assert view == {
        "id": view["id"],
        "instance_id": "demo",
        "name": "Morning",
        "kind": "echo",
        "input": {"message": "hello"},
        "timing": "cron",
        "cron": "30 9 * * *",
        "timezone": "Europe/Berlin",
        "interval_seconds": None,
        "run_at": None,
        "catch_up": "latest",
        "overlap": "allow",
        "paused": False,
        "next_slot_at": "2026-06-02T07:30:00.000Z",
        "last_slot_at": None,
        "created_at": "2026-06-01T08:00:00.000Z",
    }
    assert bench.schedule(view["id"]) == view


def test_an_interval_counts_from_its_creation_and_a_one_off_is_its_moment(bench: Bench) -> None:
    assert bench.add("08:00:00", name="a", interval_seconds=90)["next_slot_at"] == "2026-06-01T08:01:30.000Z"
    once = bench.add("08:00:00", name="b", run_at=moment("2026-06-01T12:00:00+02:00"))
    assert (once["timing"], once["next_slot_at"]) == ("once", "2026-06-01T10:00:00.000Z")


def test_without_an_explicit_time_the_clock_of_the_database_counts(bench: Bench) -> None:
    new = NewSchedule(name="plan", kind="echo", input={"message": "x"}, interval_seconds=3600)

    view = schedule_service.add_schedule(bench.runtime, "demo", new)

    assert view["created_at"] is not None
    assert abs(datetime.fromisoformat(view["created_at"]).timestamp() - datetime.now().timestamp()) < 60  # noqa: DTZ005


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "cron"),
        ({"cron": "* * * * *", "interval_seconds": 5}, "interval_seconds"),
        ({"interval_seconds": 5, "run_at": moment("09:00:00")}, "run_at"),
        ({"cron": "* * * *"}, "cron"),
        ({"cron": "* * * * 9"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "* *\x00 * * *"}, "cron"),
        ({"cron": "*" * 300}, "cron"),
        ({"cron": 5}, "cron"),
        ({"cron": "* * * * *", "timezone": "Mars/Olympus"}, "timezone"),
        ({"cron": "* * * * *", "timezone": ""}, "timezone"),
        ({"cron": "* * * * *", "timezone": None}, "timezone"),
        ({"interval_seconds": 0.5}, "interval_seconds"),
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"interval_seconds": float("nan")}, "interval_seconds"),
        ({"interval_seconds": float("inf")}, "interval_seconds"),
        ({"interval_seconds": True}, "interval_seconds"),
        ({"interval_seconds": "60"}, "interval_seconds"),
        ({"run_at": datetime(2030, 1, 1)}, "run_at"),  # noqa: DTZ001 - naive is what is refused
        ({"run_at": "2030-01-01T00:00:00"}, "run_at"),
        ({"run_at": moment("07:59:59")}, "run_at"),
        ({"interval_seconds": 5, "catch_up": "some"}, "catch_up"),
        ({"interval_seconds": 5, "overlap": ["skip"]}, "overlap"),
        ({"interval_seconds": 5, "name": ""}, "name"),
        ({"interval_seconds": 5, "name": "a\nb"}, "name"),
        ({"interval_seconds": 5, "kind": "nobody"}, "kind"),
        ({"interval_seconds": 5, "input": {"message": ""}}, "input.message"),
        ({"interval_seconds": 5, "input": {}}, "input.message"),
        ({"interval_seconds": 5, "instance_id": "no such id"}, "instance_id"),
        ({"interval_seconds": 5, "instance_id": "nobody"}, "instance_id"),
    ],
)
def test_an_invalid_schedule_is_refused_by_field_and_nothing_is_stored(
    bench: Bench, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises((InvalidInput, NotFound)) as refused:
        bench.add("08:00:00", **fields)

    assert refused.value.field == field
    with bench.runtime.db.read() as session:
        assert list_schedules(session, "demo", limit=10) == ([], None)


def test_a_name_is_unique_in_an_instance(bench: Bench) -> None:
    bench.add("08:00:00", name="plan", interval_seconds=5)

    with pytest.raises(Conflict) as refused:
        bench.add("08:00:00", name="plan", interval_seconds=6)
    assert refused.value.field == "name"


def test_slots_during_a_pause_do_not_fire_and_later_ones_are_unchanged(bench: Bench) -> None:
    plan = bench.add("08:00:00", interval_seconds=60, catch_up="all")["id"]
    bench.fire("08:01:00")

    paused = schedule_service.pause_schedule(bench.runtime, plan)
    assert (paused["paused"], paused["next_slot_at"]) == (True, None)
    assert bench.fire("08:02:00") == 0
    assert schedule_service.pause_schedule(bench.runtime, plan) == paused

    resumed = schedule_service.resume_schedule(bench.runtime, plan, at=moment("08:04:30"))
    assert (resumed["paused"], resumed["next_slot_at"]) == (False, "2026-06-01T08:05:00.000Z")
    assert schedule_service.resume_schedule(bench.runtime, plan, at=moment("09:00:00")) == resumed
    bench.fire("08:05:00")
    assert bench.slots(plan) == [("08:01:00", "fired", ""), ("08:05:00", "fired", "")]


def test_a_removed_schedule_leaves_its_tasks(bench: Bench) -> None:
    plan = bench.add("08:00:00", interval_seconds=60)["id"]
    bench.fire("08:01:00")

    schedule_service.remove_schedule(bench.runtime, plan)

    assert bench.fire("08:02:00") == 0
    assert len(bench.tasks()) == 1
    with bench.runtime.db.read() as session:
        assert list_schedules(session, "demo", limit=10) == ([], None)


def test_a_schedule_that_is_not_there_is_not_found(bench: Bench) -> None:
    for act in (schedule_service.pause_schedule, schedule_service.resume_schedule, schedule_service.remove_schedule):
        with pytest.raises(NotFound):
            act(bench.runtime, ANONYMOUS)
        with pytest.raises(SwallowtailError) as refused:
            act(bench.runtime, "'; drop table schedule")
        assert refused.value.field == "schedule_id"
