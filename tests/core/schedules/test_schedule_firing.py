"""Each slot fires once, with its task; missed and overlapping slots, refused inputs and broken schedules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.schedule_firing import fire_due
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Outbox
from tests.core.schedule_domain import ECHO, Bench, moment, open_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path, max_catch_up=4) as bench:
        yield bench


def fired(*times: str) -> list[tuple[str, str, str]]:
    return [(time, "fired", "") for time in times]


def missed(*times: str) -> list[tuple[str, str, str]]:
    return [(time, "skipped", "missed") for time in times]


def test_a_due_slot_becomes_one_task_with_its_outbox_entry_and_event(bench: Bench) -> None:
    plan = bench.add("08:00:00", name="Morning", interval_seconds=60)["id"]

    assert bench.fire("08:00:59") == 0
    assert bench.fire("08:01:00") == 1
    assert bench.fire("08:01:30") == 0

    (task,) = bench.tasks()
    assert (task["kind"], task["title"], task["input"], task["status"], task["submitted_by"]) == (
        "echo",
        "Morning",
        {"message": "hello", "times": 1},
        "SUBMITTED",
        f"schedule:{plan}",
    )
    assert [(event.seq, event.data["status"]) for event in bench.announced] == [(1, "SUBMITTED")]
    assert bench.relay_wakes == 1
    with bench.runtime.db.read() as session:
        assert session.scalars(select(Outbox.task_id)).all() == [task["id"]]
    view = bench.schedule(plan)
    assert (view["last_slot_at"], view["next_slot_at"]) == ("2026-06-01T08:01:00.000Z", "2026-06-01T08:02:00.000Z")


def test_the_clock_of_the_database_decides_by_default(bench: Bench) -> None:
    plan = bench.add("08:00:00", cron="0 0 1 1 *")["id"]
    with bench.runtime.db.write() as session:
        session.execute(update(Schedule).values(next_slot_at=moment("2020-01-01T00:00:00+00:00")))
    from_clock = bench.runtime
    assert fire_due(from_clock) == 1
    assert len(bench.slots(plan)) >= 1


def test_a_one_off_fires_once_and_is_done(bench: Bench) -> None:
    plan = bench.add("08:00:00", run_at=moment("08:30:00"))["id"]

    assert [bench.fire(at) for at in ("08:29:59", "08:30:01", "08:30:02", "09:30:00")] == [0, 1, 0, 0]
    assert bench.slots(plan) == fired("08:30:00")
    assert bench.schedule(plan)["next_slot_at"] is None


def test_slightly_late_slots_all_fire_under_every_policy(bench: Bench) -> None:
    plans = [
        bench.add("08:00:00", name=policy, interval_seconds=20, catch_up=policy)["id"]
        for policy in ("skip", "latest", "all")
    ]

    bench.fire("08:01:00")

    for plan in plans:
        assert bench.slots(plan) == fired("08:00:20", "08:00:40", "08:01:00")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("skip", missed("08:10:00", "08:20:00", "08:30:00")),
        ("latest", [*missed("08:10:00", "08:20:00"), *fired("08:30:00")]),
        ("all", fired("08:10:00", "08:20:00", "08:30:00")),
    ],
)
def test_missed_slots_are_caught_up_by_policy(bench: Bench, policy: str, expected: list[tuple[str, str, str]]) -> None:
    plan = bench.add("08:00:00", interval_seconds=600, catch_up=policy)["id"]

    bench.fire("08:39:00")

    assert bench.slots(plan) == expected
    assert bench.schedule(plan)["next_slot_at"] == "2026-06-01T08:40:00.000Z"
    bench.fire("08:40:01")
    assert bench.slots(plan) == [*expected, *fired("08:40:00")]


def test_latest_makes_up_for_nothing_when_a_slot_is_on_time(bench: Bench) -> None:
    plan = bench.add("08:00:00", interval_seconds=600, catch_up="latest")["id"]

    bench.fire("08:20:30")

    assert bench.slots(plan) == [*missed("08:10:00"), *fired("08:20:00")]


def test_catching_up_is_limited_and_reports_the_rest(bench: Bench) -> None:
    plan = bench.add("08:00:00", cron="*/10 * * * *", catch_up="all")["id"]
    other = bench.add("08:00:00", name="other", cron="*/10 * * * *", catch_up="skip")["id"]

    bench.fire("2026-07-01T12:05:00+00:00")

    times = ("11:30:00", "11:40:00", "11:50:00", "12:00:00")
    assert bench.slots(plan) == fired(*times)
    assert bench.slots(other) == [(times[0], "skipped", "missed, as were earlier ones"), *missed(*times[1:])]


def test_a_slot_is_skipped_while_the_last_ones_task_is_active(bench: Bench) -> None:
    plan = bench.add("08:00:00", interval_seconds=60, overlap="skip")["id"]
    bench.fire("08:01:00")
    (task,) = bench.tasks()

    bench.fire("08:02:00")
    task_service.cancel(bench.runtime, task["id"])
    bench.fire("08:03:00")

    still = ("08:02:00", "skipped", f"task {task['id']} is still SUBMITTED")
    assert bench.slots(plan) == [*fired("08:01:00"), still, *fired("08:03:00")]
    assert len(bench.tasks()) == 2


def test_catching_up_without_overlap_fires_one_slot(bench: Bench) -> None:
    plan = bench.add("08:00:00", interval_seconds=600, overlap="skip", catch_up="all")["id"]

    bench.fire("08:31:30")

    assert [outcome for _, outcome, _ in bench.slots(plan)] == ["fired", "skipped", "skipped"]


def test_a_slot_that_the_agent_no_longer_takes_is_skipped_with_the_reason(bench: Bench) -> None:
    plan = bench.add("08:00:00", interval_seconds=60)["id"]
    stricter = {**ECHO.input_schema, "required": ["message", "times"]}
    register(bench.runtime.db, [AgentCard("echo", "Echo", "", "2", stricter)])

    bench.fire("08:01:00")

    assert bench.slots(plan) == [("08:01:00", "skipped", "refused: input.times: this field is required")]
    assert bench.tasks() == []
    assert bench.relay_wakes == 0


def test_a_slot_already_written_down_never_fires_again(bench: Bench) -> None:
    plan = bench.add("08:00:00", interval_seconds=60)["id"]
    bench.fire("08:01:00")
    with bench.runtime.db.write() as session:
        session.execute(update(Schedule).values(next_slot_at=moment("08:01:00")))

    bench.fire("08:02:00")

    assert bench.slots(plan) == fired("08:01:00", "08:02:00")
    assert len(bench.tasks()) == 2


def test_a_broken_schedule_keeps_no_other_from_firing(bench: Bench) -> None:
    bench.add("08:00:00", name="broken", cron="* * * * *")
    plan = bench.add("08:00:00", name="whole", cron="* * * * *")["id"]
    with bench.runtime.db.write() as session:
        session.execute(update(Schedule).where(Schedule.name == "broken").values(timezone="Gone/Zone"))

    assert bench.fire("08:01:00") == 1
    assert bench.slots(plan) == fired("08:01:00")


def test_many_due_schedules_are_taken_in_portions(bench: Bench) -> None:
    for number in range(5):
        bench.add("08:00:00", name=f"plan {number}", interval_seconds=60)

    portions = [fire_due(bench.runtime, 2, at=moment("08:01:00")) for _ in range(4)]

    assert portions == [2, 2, 1, 0]
    assert len(bench.tasks()) == 5
