"""A run whose database takes no writes waits with what it has, and goes on without doing anything again."""

from __future__ import annotations

import threading

import pytest

from tests.harness.refusals import SQLITE_REFUSALS, Refusing
from tests.harness.waiting import wait_until
from tests.workers.conftest import Inside
from workers.endings import End, RunStopped
from workers.holding import Holding
from workers.journal import Context
from workers.live import LiveProgress


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
