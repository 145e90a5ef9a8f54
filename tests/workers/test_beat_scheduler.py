"""Beat's scheduler, called as Celery's beat calls it, without servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from sqlalchemy import select

from swallowtail.app.core.tables.tasks import Outbox
from swallowtail.workers import beat_scheduler
from swallowtail.workers.beat_scheduler import DatabaseScheduler
from tests.core.schedule_domain import Bench, open_bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A database without Redis or broker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", str(tmp_path))
    monkeypatch.setenv("SWALLOWTAIL_BEAT_INTERVAL", "0.7")
    monkeypatch.setenv("SWALLOWTAIL_DATABASE_WAIT", "0.2")
    monkeypatch.setenv("SWALLOWTAIL_SEND_TIMEOUT", "0.1")
    with open_bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def beat(bench: Bench) -> Iterator[DatabaseScheduler]:
    scheduler = DatabaseScheduler(Celery("tiny", set_as_current=False), schedule_filename="celerybeat-schedule")
    yield scheduler
    scheduler.close()


def test_due_schedules_fire_without_a_broker(bench: Bench, beat: DatabaseScheduler) -> None:
    bench.add("08:00:00", interval_seconds=1)

    assert beat.tick() == 0.7

    task = bench.tasks()[0]
    assert task["status"] == "SUBMITTED"
    with bench.runtime.db.read() as session:
        assert task["id"] in session.scalars(select(Outbox.task_id)).all()


def test_a_full_batch_is_followed_by_the_next_look_at_once(
    bench: Bench, beat: DatabaseScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beat_scheduler, "BATCH", 2)
    for number in range(3):
        bench.add("08:00:00", name=f"plan {number}", interval_seconds=3600)

    assert [beat.tick(), beat.tick()] == [0.0, 0.7]
    assert len(bench.tasks()) == 3


def test_an_absent_database_is_survived(bench: Bench, beat: DatabaseScheduler, tmp_path: Path) -> None:
    bench.add("08:00:00", interval_seconds=3600)
    bench.runtime.db.dispose()
    assert beat._runtime is not None
    beat._runtime.db.dispose()
    away, here = tmp_path / "away.db", tmp_path / "swallowtail.db"
    here.rename(away)
    here.mkdir()

    assert beat.tick() == 0.7

    here.rmdir()
    away.rename(here)
    assert beat.tick() == 0.7
    assert len(bench.tasks()) == 1


def test_an_unexpected_failure_is_survived(
    bench: Bench, beat: DatabaseScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise RuntimeError("never seen before")

    with monkeypatch.context() as patched:
        patched.setattr(beat_scheduler, "fire_due", fail)
        assert beat.tick() == 0.7
    bench.add("08:00:00", interval_seconds=3600)
    beat.tick()
    assert len(bench.tasks()) == 1


def test_a_signal_in_the_middle_of_a_look_closes_only_after_it(
    bench: Bench, beat: DatabaseScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> int:
        beat.close()
        assert beat._runtime is not None
        raise SystemExit

    monkeypatch.setattr(beat_scheduler, "fire_due", interrupt)
    with pytest.raises(SystemExit):
        beat.tick()
    beat.close()
    assert beat._runtime is None
    beat.close()
    assert beat.tick() == 0.7


def test_the_scheduler_for_the_banner_opens_nothing_and_no_file_is_written(
    beat: DatabaseScheduler, tmp_path: Path
) -> None:
    lazy = DatabaseScheduler(Celery("tiny", set_as_current=False), lazy=True)

    assert "every 0.7 s" in lazy.info
    assert lazy._runtime is None
    assert not lazy.should_sync()
    assert [path.name for path in tmp_path.iterdir() if "celerybeat" in path.name] == []
