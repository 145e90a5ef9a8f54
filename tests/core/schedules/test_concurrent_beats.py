"""Several beats at once on one database: each slot is decided exactly once, with exactly one task."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.services import schedules as schedule_service
from swallowtail.app.core.services.schedule_firing import fire_due
from tests.core.schedule_domain import Bench, moment, open_bench

BEATS, LOOKS = 3, 12
START = moment("08:00:00")


def test_beats_on_sqlite_fire_each_slot_once(tmp_path: Path) -> None:
    with open_bench(tmp_path) as bench:
        fire_together(bench)


@pytest.mark.service
def test_beats_on_postgresql_fire_each_slot_once(tmp_path: Path, postgres_url: str) -> None:
    with open_bench(tmp_path, postgres_url) as bench:
        fire_together(bench)


def test_a_pause_races_beats_on_sqlite_and_no_slot_fires_after_it(tmp_path: Path) -> None:
    with open_bench(tmp_path) as bench:
        pause_while_firing(bench)


@pytest.mark.service
def test_a_pause_races_beats_on_postgresql_and_no_slot_fires_after_it(tmp_path: Path, postgres_url: str) -> None:
    with open_bench(tmp_path, postgres_url) as bench:
        pause_while_firing(bench)


def fire_together(bench: Bench) -> None:
    """Three beats check schedules of every kind at the same moments at the same time."""
    plans = {
        "every": bench.add("08:00:00", name="every", interval_seconds=60)["id"],
        "minute": bench.add("08:00:00", name="minute", cron="* * * * *", catch_up="all")["id"],
        "alone": bench.add("08:00:00", name="alone", interval_seconds=60, overlap="skip")["id"],
        "once": bench.add("08:00:00", name="once", run_at=moment("08:02:30"))["id"],
    }

    look_together(bench)

    each_minute = [f"08:{minute:02}:00" for minute in range(1, LOOKS + 1)]
    assert bench.slots(plans["every"]) == [(time, "fired", "") for time in each_minute]
    assert bench.slots(plans["minute"]) == [(time, "fired", "") for time in each_minute]
    assert bench.slots(plans["once"]) == [("08:02:30", "fired", "")]
    outcomes = [(time, outcome) for time, outcome, _ in bench.slots(plans["alone"])]
    assert outcomes == [(time, "skipped" if place else "fired") for place, time in enumerate(each_minute)]
    assert Counter(task["title"] for task in bench.tasks()) == {"every": LOOKS, "minute": LOOKS, "once": 1, "alone": 1}
    with bench.runtime.db.read() as session:
        seqs = [event.seq for event in read_events(session, "demo", 0, 10_000)]
    assert seqs == list(range(1, 2 * LOOKS + 3))


def pause_while_firing(bench: Bench) -> None:
    """One schedule is paused while beats run: earlier slots stay fired, and no later slot fires."""
    plan = bench.add("08:00:00", interval_seconds=60)["id"]
    pausing = threading.Thread(target=schedule_service.pause_schedule, args=(bench.runtime, plan))

    look_together(bench, meanwhile=pausing)
    pausing.join(60)
    after_pause = bench.slots(plan)

    bench.fire("12:00:00")
    assert bench.slots(plan) == after_pause
    assert after_pause == [(f"08:{minute:02}:00", "fired", "") for minute in range(1, len(after_pause) + 1)]
    assert len(bench.tasks()) == len(after_pause)
    assert bench.schedule(plan)["paused"]


def look_together(bench: Bench, meanwhile: threading.Thread | None = None) -> None:
    """Let every beat, each with its own connections, check every minute, all of them each minute at once."""
    line = threading.Barrier(BEATS)

    def beat(number: int) -> None:
        runtime = Runtime.build(bench.runtime.settings, publish=False, has_sweeper=True)
        try:
            for look in range(1, LOOKS + 1):
                line.wait(60)
                if meanwhile is not None and (number, look) == (0, LOOKS // 2):
                    meanwhile.start()
                fire_due(runtime, at=START + timedelta(minutes=look))
        finally:
            runtime.close()

    with ThreadPoolExecutor(BEATS) as pool:
        list(pool.map(beat, range(BEATS)))
