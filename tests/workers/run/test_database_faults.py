"""A database that refuses a write of ours is no error of the agent's: told without its words, and tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, OperationalError

from swallowtail.app.core.states import TaskStatus
from swallowtail.workers.run.context import Context
from tests.workers.conftest import Inside
from tests.workers.test_run_task import Given, perform

SECRET = "SECRET-in-the-statement"


def work(ctx: Context, given: Given) -> str:
    """One step, within which a careless agent catches whatever comes."""
    try:
        made: str = ctx.step("make", lambda: SECRET, progress=50)
    except Exception:
        made = "swallowed"
    return made


def refuse(inside: Inside, event: str, table: str, when: str = "1") -> Callable[[], None]:
    """Have the database refuse a write; gives what ends that."""

    def run(statement: str) -> None:
        with inside.rt.db.write() as session:
            session.execute(text(statement))

    run(
        f"CREATE TRIGGER refusing BEFORE {event} ON {table} WHEN {when} "
        f"BEGIN SELECT RAISE(ABORT, 'refused {SECRET}'); END"
    )
    return lambda: run("DROP TRIGGER refusing")


WRITES = {
    "the start of a step": ("INSERT", "step", "1"),
    "its end": ("UPDATE", "step", "NEW.saved"),
    "the end of the run": ("UPDATE", "task", "NEW.status = 'COMPLETED'"),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_refused_write_is_internal_and_is_tried_again_without_counting(
    make_inside: Callable[..., Inside], what: str
) -> None:
    inside = make_inside(step_tries=1, max_losses=0)
    let = refuse(inside, *WRITES[what])
    task_id = inside.submit(given={})
    for attempt in (1, 2):
        assert perform(inside, work, attempt, task_id=task_id)[0] is TaskStatus.RETRYING
        assert inside.events[-1].data["error"]["code"] == "internal"
    let()
    assert perform(inside, work, 3, task_id=task_id)[0] is TaskStatus.COMPLETED
    assert inside.events[-1].data["result"] == SECRET
    told = str([event.data["error"] for event in inside.events if "error" in event.data])
    assert not [word for word in (SECRET, "INSERT", "UPDATE", "sqlite", "sqlalche") if word in told]


def test_the_fault_is_in_the_log_under_the_id_that_watchers_see(
    inside: Inside, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(inside, "INSERT", "step")
    perform(inside, work, given={})
    fault_id = inside.events[-1].data["error"]["message"].rpartition(" ")[2]
    logged = capsys.readouterr().out
    assert fault_id in logged
    assert "refused" in logged


def test_a_failure_that_could_not_be_written_down_is_tried_again(make_inside: Callable[..., Inside]) -> None:
    inside = make_inside(step_tries=1)

    def broken(ctx: Context, given: Given) -> None:
        ctx.step("make", lambda: 1 / 0)

    let = refuse(inside, "UPDATE", "step", "NEW.failures > OLD.failures")
    _, task_id = perform(inside, broken, given={})
    assert inside.events[-1].data["error"]["code"] == "internal"
    let()
    assert perform(inside, broken, 2, task_id=task_id)[0] is TaskStatus.FAILED
    assert inside.events[-1].data["error"]["type"] == "ZeroDivisionError"


def test_an_agents_own_database_error_is_its_own(make_inside: Callable[..., Inside]) -> None:
    inside = make_inside(step_tries=2)

    def broken(ctx: Context, given: Given) -> None:
        def ask() -> None:
            raise OperationalError("SELECT 1", {}, Exception("the agent's own database"))

        ctx.step("ask", ask)

    _, task_id = perform(inside, broken, given={})
    assert inside.events[-1].data["error"]["type"] == "OperationalError"
    assert perform(inside, broken, 2, task_id=task_id)[0] is TaskStatus.FAILED


def test_a_value_that_the_database_refuses_ends_the_task(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise DataError(f"UPDATE step SET output = '{SECRET}'", {}, Exception("no such value"))

    monkeypatch.setattr(type(inside.rt.runs), "finish_step", refused)
    assert perform(inside, work, given={})[0] is TaskStatus.FAILED
    error = inside.events[-1].data["error"]
    assert (error["code"], SECRET in str(error)) == ("internal", False)


def test_a_database_that_refuses_everything_leaves_the_task_to_the_sweep(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OperationalError("UPDATE task", {}, Exception("database or disk is full"))

    for write in ("start_step", "retry_later", "fail", "complete"):
        monkeypatch.setattr(type(inside.rt.runs), write, refused)
    assert perform(inside, work, given={})[0] is None
    assert inside.story()[-1] == "1: IN_PROGRESS"
