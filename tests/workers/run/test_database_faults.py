"""A task is tried again if the database refuses a write of ours, and clients see no details."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, OperationalError

from swallowtail.app.core.states import TaskStatus
from swallowtail.context import Context
from tests.workers.conftest import Harness
from tests.workers.test_run_task import GreetInput, perform

SECRET = "SECRET-in-the-statement"


def work(ctx: Context, task_input: GreetInput) -> str:
    """One step in an agent that swallows every exception."""
    try:
        output: str = ctx.step("make", lambda: SECRET, progress=50)
    except Exception:
        output = "swallowed"
    return output


def refuse(harness: Harness, event: str, table: str, when: str = "1") -> Callable[[], None]:
    """Let the database refuse a write; return the function that ends this."""

    def run(statement: str) -> None:
        with harness.rt.db.write() as session:
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
    make_harness: Callable[..., Harness], what: str
) -> None:
    harness = make_harness(step_tries=1, max_losses=0)
    let = refuse(harness, *WRITES[what])
    task_id = harness.submit(task_input={})
    for attempt in (1, 2):
        assert perform(harness, work, attempt, task_id=task_id)[0] is TaskStatus.RETRYING
        assert harness.events[-1].data["error"]["code"] == "internal"
    let()
    assert perform(harness, work, 3, task_id=task_id)[0] is TaskStatus.COMPLETED
    assert harness.events[-1].data["result"] == SECRET
    shown = str([event.data["error"] for event in harness.events if "error" in event.data])
    assert not [word for word in (SECRET, "INSERT", "UPDATE", "sqlite", "sqlalche") if word in shown]


def test_the_log_has_the_error_with_the_id_in_the_event(
    harness: Harness, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    refuse(harness, "INSERT", "step")
    perform(harness, work, task_input={})
    fault_id = harness.events[-1].data["error"]["message"].rpartition(" ")[2]
    # A test before this one may have configured logging in this process.
    logged = capsys.readouterr().out + caplog.text
    assert fault_id in logged
    assert "refused" in logged


def test_a_failure_that_could_not_be_written_down_is_tried_again(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(step_tries=1)

    def broken(ctx: Context, task_input: GreetInput) -> None:
        ctx.step("make", lambda: 1 / 0)

    let = refuse(harness, "UPDATE", "step", "NEW.failures > OLD.failures")
    _, task_id = perform(harness, broken, task_input={})
    assert harness.events[-1].data["error"]["code"] == "internal"
    let()
    assert perform(harness, broken, 2, task_id=task_id)[0] is TaskStatus.FAILED
    assert harness.events[-1].data["error"]["type"] == "ZeroDivisionError"


def test_an_agents_own_database_error_is_its_own(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(step_tries=2)

    def broken(ctx: Context, task_input: GreetInput) -> None:
        def ask() -> None:
            raise OperationalError("SELECT 1", {}, Exception("the agent's own database"))

        ctx.step("ask", ask)

    _, task_id = perform(harness, broken, task_input={})
    assert harness.events[-1].data["error"]["type"] == "OperationalError"
    assert perform(harness, broken, 2, task_id=task_id)[0] is TaskStatus.FAILED


def test_a_value_that_the_database_refuses_ends_the_task(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise DataError(f"UPDATE step SET output = '{SECRET}'", {}, Exception("no such value"))

    monkeypatch.setattr(type(harness.rt.runs), "finish_step", refused)
    assert perform(harness, work, task_input={})[0] is TaskStatus.FAILED
    error = harness.events[-1].data["error"]
    assert (error["code"], SECRET in str(error)) == ("internal", False)


def test_a_database_that_refuses_everything_leaves_the_task_to_the_sweep(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OperationalError("UPDATE task", {}, Exception("database or disk is full"))

    for write in ("start_step", "retry_later", "fail", "complete"):
        monkeypatch.setattr(type(harness.rt.runs), write, refused)
    assert perform(harness, work, task_input={})[0] is None
    assert harness.story()[-1] == "1: IN_PROGRESS"
