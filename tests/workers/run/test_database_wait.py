"""A run whose database takes no writes waits with what it has, and goes on without doing anything again."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from swallowtail.app.core.states import TaskStatus
from swallowtail.workers import run_task
from swallowtail.workers.run.context import Context
from swallowtail.workers.run.database_wait import Holding
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcomes import End, Ending, RunStopped
from swallowtail.workers.run.shared_memory import Board
from tests.harness.refusing_database import SQLITE_REFUSALS, Refusing
from tests.harness.waiting import wait_until
from tests.workers.conftest import Inside


@pytest.mark.parametrize("how", SQLITE_REFUSALS)
def test_a_finished_step_is_saved_once_the_database_takes_it(inside: Inside, how: str) -> None:
    inside.rt.db.wait = 0.01
    claim = inside.claim(inside.submit())
    renewed: list[bool] = []
    writes = Holding(inside.rt.runs, 0.01, lambda: True, lambda: renewed.append(True))
    ctx = Context(claim, writes, inside.rt.settings, inside.watch, LiveProgress(claim, 10.0))
    refusing = Refusing(inside.rt.db)
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
    assert renewed
    assert inside.story()[-2:] == ["1: make completed", "1: 50%"]


def test_a_run_whose_worker_is_about_to_end_does_not_wait(inside: Inside) -> None:
    inside.rt.db.wait = 0.01
    claim = inside.claim(inside.submit())
    writes = Holding(inside.rt.runs, 0.01, lambda: False, lambda: None)
    ctx = Context(claim, writes, inside.rt.settings, inside.watch, LiveProgress(claim, 10.0))
    Refusing(inside.rt.db).how = "query_only=1"
    with pytest.raises(RunStopped) as stopped:
        ctx.step("make", lambda: "made")
    assert stopped.value.ending.how is End.GONE


ENDS: dict[str, tuple[Ending | None, TaskStatus]] = {
    "complete": (None, TaskStatus.COMPLETED),
    "fail": (Ending(End.FAIL, {"code": "permanent", "message": "No"}), TaskStatus.FAILED),
    "retry": (Ending(End.RETRY, {"code": "exception", "message": "No"}), TaskStatus.RETRYING),
    "hand over": (Ending(End.HAND_OVER, {"code": "worker_stopped", "message": "Bye"}), TaskStatus.RETRYING),
}


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_run_is_written_once_the_database_takes_it(inside: Inside, how: str) -> None:
    inside.rt.db.wait = 0.01
    ending, became = ENDS[how]
    claim = inside.claim(inside.submit())
    live = LiveProgress(claim, 10.0)
    live.report(40, "nearly")
    refusing = Refusing(inside.rt.db)
    refusing.how = "query_only=1"

    def allow() -> None:
        wait_until(lambda: refusing.met >= 3, "the write was refused a few times")
        refusing.how = None

    threading.Thread(target=allow).start()
    writes = Holding(inside.rt.runs, 0.01, lambda: True, lambda: None)
    assert run_task.settle(inside.rt, claim, live, {"n": 1}, ending, writes.hold) == became
    assert inside.events[-1].data["status"] == became


class Pulse:
    """A run's pulse, as far as a wait needs one."""

    def writing(self) -> Any:
        raise AssertionError("nothing was written")


@pytest.mark.parametrize("grace", [0.0, 600.0])
def test_a_run_of_a_worker_that_stops_waits_for_as_long_as_the_grace_lasts(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, grace: float
) -> None:
    inside.rt.db.wait = 0.01
    board = Board()
    monkeypatch.setattr(run_task, "slot", lambda: board.slot(0))
    settings = inside.rt.settings.model_copy(update={"shutdown_grace": grace, "heartbeat_seconds": 0.01})
    monkeypatch.setattr(inside.rt, "settings", settings)
    claim = inside.claim(inside.submit())
    live = LiveProgress(claim, 10.0)
    writes = run_task.hold_on(claim, inside.rt, Pulse(), live)  # type: ignore[arg-type]
    refusing = Refusing(inside.rt.db)
    refusing.how = "query_only=1"

    def leave() -> None:
        wait_until(lambda: refusing.met >= 3, "the write was refused a few times")
        board.leave()
        left_at, met = board.slot(0).left_at, refusing.met
        if grace:
            wait_until(lambda: refusing.met >= met + 3, "the worker stops, and the run still waits")
            board.leave()
            assert board.slot(0).left_at == left_at <= time.monotonic(), "told again"
            # As if the grace had passed.
            board.numbers[0] -= 2 * grace

    thread = threading.Thread(target=leave)
    thread.start()
    assert run_task.settle(inside.rt, claim, live, "done", None, writes.hold) is None
    thread.join()
    assert inside.events[-1].data["status"] == TaskStatus.IN_PROGRESS
