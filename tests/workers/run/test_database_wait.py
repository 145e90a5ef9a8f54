"""A run whose database refuses writes waits with its results, and continues without repeating work."""

from __future__ import annotations

import threading
import time

import pytest

from swallowtail.app.core.states import TaskStatus
from swallowtail.workers import run_task
from swallowtail.workers.run.database_wait import DatabaseWait
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcome_writer import OutcomeWriter
from swallowtail.workers.run.outcomes import OutcomeKind, RunOutcome, RunStopped
from tests.harness.database.refusing_database import SQLITE_REFUSALS, Refusing
from tests.harness.waiting import wait_until
from tests.workers.conftest import Harness


@pytest.mark.parametrize("how", SQLITE_REFUSALS)
def test_a_finished_step_is_saved_once_the_database_takes_it(harness: Harness, how: str) -> None:
    harness.rt.db.wait = 0.01
    claim = harness.claim(harness.submit())
    extended: list[bool] = []
    wait = DatabaseWait(0.01, lambda: True, lambda: extended.append(True))
    ctx = harness.context(claim, write=wait.write)
    refusing = Refusing(harness.rt.db)
    done: list[str] = []

    def work() -> str:
        done.append("once")
        refusing.how = how
        threading.Thread(target=allow).start()
        return "x" * 100_000

    def allow() -> None:
        wait_until(lambda: refusing.met >= 3, "the write was refused a few times")
        refusing.how = None

    assert len(ctx.step("make", work, progress=50)) == 100_000
    assert done == ["once"]
    assert extended
    assert harness.story()[-2:] == ["1: make completed", "1: 50%"]


def test_a_run_whose_worker_is_about_to_end_does_not_wait(harness: Harness) -> None:
    harness.rt.db.wait = 0.01
    claim = harness.claim(harness.submit())
    wait = DatabaseWait(0.01, lambda: False, lambda: None)
    ctx = harness.context(claim, write=wait.write)
    Refusing(harness.rt.db).how = "query_only=1"
    with pytest.raises(RunStopped) as stopped:
        ctx.step("make", lambda: "made")
    assert stopped.value.outcome.kind is OutcomeKind.ABANDON


OUTCOMES: dict[str, tuple[RunOutcome | None, TaskStatus]] = {
    "complete": (None, TaskStatus.COMPLETED),
    "fail": (RunOutcome(OutcomeKind.FAIL, {"code": "permanent", "message": "No"}), TaskStatus.FAILED),
    "retry": (RunOutcome(OutcomeKind.RETRY, {"code": "exception", "message": "No"}), TaskStatus.RETRYING),
    "requeue": (RunOutcome(OutcomeKind.REQUEUE, {"code": "worker_stopped", "message": "Bye"}), TaskStatus.RETRYING),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_end_of_a_run_is_written_once_the_database_takes_it(harness: Harness, name: str) -> None:
    harness.rt.db.wait = 0.01
    outcome, status = OUTCOMES[name]
    claim = harness.claim(harness.submit())
    live = LiveProgress(claim, 10.0)
    live.report(40, "nearly")
    refusing = Refusing(harness.rt.db)
    refusing.how = "query_only=1"

    def allow() -> None:
        wait_until(lambda: refusing.met >= 3, "the write was refused a few times")
        refusing.how = None

    threading.Thread(target=allow).start()
    wait = DatabaseWait(0.01, lambda: True, lambda: None)
    assert OutcomeWriter(harness.rt, claim, live).write({"n": 1}, outcome, wait.write) == status
    assert harness.events[-1].data["status"] == status


@pytest.mark.parametrize("grace", [0.0, 600.0])
def test_a_run_of_a_worker_that_stops_waits_for_as_long_as_the_grace_lasts(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, grace: float
) -> None:
    harness.rt.db.wait = 0.01
    memory = harness.memory
    settings = harness.rt.settings.model_copy(update={"shutdown_grace": grace, "heartbeat_seconds": 0.01})
    monkeypatch.setattr(harness.rt, "settings", settings)
    claim = harness.claim(harness.submit())
    live = LiveProgress(claim, 10.0)
    wait = run_task.make_database_wait(claim, harness.rt, harness.interrupts().state, live)
    refusing = Refusing(harness.rt.db)
    refusing.how = "query_only=1"

    def stop() -> None:
        wait_until(lambda: refusing.met >= 3, "the write was refused a few times")
        memory.announce_stop()
        since, met = memory.numbers[0], refusing.met
        if grace:
            wait_until(lambda: refusing.met >= met + 3, "the worker stops, and the run still waits")
            memory.announce_stop()
            assert memory.numbers[0] == since <= time.monotonic(), "announced again"
            # As if the grace had passed.
            memory.numbers[0] -= 2 * grace

    thread = threading.Thread(target=stop)
    thread.start()
    assert OutcomeWriter(harness.rt, claim, live).write("done", None, wait.write) is None
    thread.join()
    assert harness.events[-1].data["status"] == TaskStatus.IN_PROGRESS
