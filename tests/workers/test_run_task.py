"""One run from claim to end, in the process of the test, on the real ledger."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, field_validator

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.logs.unlogged_output import LineStream
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.states import TaskStatus
from swallowtail.context import Context
from swallowtail.workers import run_task
from swallowtail.workers.registry.declaration import AgentSpec
from swallowtail.workers.run.outcomes import PermanentError
from swallowtail.workers.runtime import thread_context
from tests.harness.tasks.event_lines import BEGINNING, steps
from tests.workers.conftest import Harness


class GreetInput(BaseModel):
    names: list[str] = ["Ada"]

    @field_validator("names")
    @classmethod
    def _odd(cls, names: list[str]) -> list[str]:
        if names == ["crash"]:
            raise LookupError("a validator that is broken")
        if not names:
            raise ValueError("at least one name is needed")
        return names


def spec(function: Callable[[Context, Any], Any]) -> AgentSpec:
    return AgentSpec("test", "Test", "", "1", GreetInput, function)


def greet(ctx: Context, task_input: GreetInput) -> dict[str, Any]:
    hello = [ctx.step(f"greet {name}", lambda n=name: f"Hello {n}") for name in task_input.names]
    return {"hello": hello}


def perform(harness: Harness, function: Callable[[Context, Any], Any], attempt: int = 1, **task: Any) -> Any:
    """Submit (for a first attempt) and run; return the task's new status and its id."""
    task_id = task.pop("task_id", None) or harness.submit(**task)
    with harness.interrupts() as interrupts:
        became = run_task.perform(harness.rt, {"test": spec(function)}, interrupts, task_id, attempt)
    return became, task_id


def test_a_run_goes_from_claim_to_result(harness: Harness) -> None:
    became, _ = perform(harness, greet, task_input={"names": ["Ada", "Bo"]})
    assert became is TaskStatus.COMPLETED
    assert harness.story() == [*BEGINNING, *steps(1, "greet Ada", "greet Bo"), "1: COMPLETED"]
    assert harness.events[-1].data["result"] == {"hello": ["Hello Ada", "Hello Bo"]}
    assert harness.events[-1].data["progress"] == 100


def test_a_stale_wakeup_does_nothing(harness: Harness) -> None:
    _, task_id = perform(harness, greet)
    events = harness.story()
    assert perform(harness, greet, task_id=task_id) == (None, task_id)
    assert perform(harness, greet, attempt=3, task_id=task_id) == (None, task_id)
    assert perform(harness, greet, task_id="unknown")[0] is None
    assert harness.story() == events


def test_a_task_of_an_unknown_kind_is_returned_to_the_queue_and_loses_no_attempt(harness: Harness) -> None:
    _, task_id = perform(harness, greet, kind="other", task_input={})
    for _ in range(3):
        assert perform(harness, greet, task_id=task_id) == (None, task_id)
    assert harness.story() == ["SUBMITTED", "0%"]
    assert harness.events[-1].data["message"] == "Waiting for a worker that knows the kind 'other'"
    with harness.interrupts() as interrupts:
        became = run_task.perform(harness.rt, {"other": spec(greet)}, interrupts, task_id, 1)
    assert became is TaskStatus.COMPLETED


def test_an_unknown_kind_fails_in_the_end(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(kind_patience=0.0)
    became, _ = perform(harness, greet, kind="other")
    assert became is TaskStatus.FAILED
    assert harness.events[-1].data["error"] == {
        "code": "unknown_kind",
        "message": "This worker has no agent of kind 'other', and none that does took it within 0 s",
    }


@pytest.mark.parametrize(
    ("task_input", "field"),
    [({"names": [1]}, "input.names[0]"), ("text", "input"), (None, "input"), ({"names": "x"}, "input.names")],
)
def test_input_is_checked_once_more_and_the_field_named(harness: Harness, task_input: Any, field: str) -> None:
    became, _ = perform(harness, greet, task_input=task_input)
    assert became is TaskStatus.FAILED
    error = harness.events[-1].data["error"]
    assert (error["code"], error["field"]) == ("invalid_input", field)
    assert error["message"].startswith(f"{field}: ")


def test_the_message_of_an_agents_own_validator_is_the_error_of_the_task(harness: Harness) -> None:
    perform(harness, greet, task_input={"names": []})
    assert harness.events[-1].data["error"]["message"] == "input.names: at least one name is needed"


def test_a_broken_validator_fails_the_task_not_the_worker(harness: Harness) -> None:
    assert perform(harness, greet, task_input={"names": ["crash"]})[0] is TaskStatus.FAILED
    assert harness.events[-1].data["error"]["code"] == "invalid_input"


def test_an_error_outside_of_steps_uses_up_attempts(harness: Harness) -> None:
    def broken(ctx: Context, task_input: GreetInput) -> None:
        ctx.progress(20)
        raise LookupError("not in a step")

    became, task_id = perform(harness, broken, task_input={})
    assert became is TaskStatus.RETRYING
    assert harness.events[-1].data["progress"] == 20
    assert perform(harness, broken, 2, task_id=task_id)[0] is TaskStatus.RETRYING
    assert perform(harness, broken, 3, task_id=task_id)[0] is TaskStatus.FAILED
    assert harness.events[-1].data["error"] == {
        "code": "exception",
        "message": "not in a step",
        "type": "LookupError",
    }


def test_lost_workers_and_failed_steps_use_up_no_tries_outside_of_steps(harness: Harness) -> None:
    def broken_in_a_step(ctx: Context, task_input: GreetInput) -> None:
        ctx.step("make", lambda: 1 / 0, tries=9)

    def broken(ctx: Context, task_input: GreetInput) -> None:
        raise LookupError("not in a step")

    _, task_id = perform(harness, broken_in_a_step, task_input={})
    for attempt in (2, 3):
        perform(harness, broken_in_a_step, attempt, task_id=task_id)
    harness.rt.proposals.lost(harness.claim(task_id, 4).task_id, 4, {"code": "worker_lost", "message": "Lost"})
    became = [perform(harness, broken, attempt, task_id=task_id)[0] for attempt in (5, 6, 7)]
    assert became == [TaskStatus.RETRYING, TaskStatus.RETRYING, TaskStatus.FAILED]


def test_two_lost_workers_and_one_error_leave_a_step_its_other_tries(harness: Harness) -> None:
    task_id = harness.submit(task_input={})
    for attempt in (1, 2):
        harness.rt.runs.start_step(harness.claim(task_id, attempt), "make", "Agent", "work")
        harness.rt.proposals.lost(task_id, attempt, {"code": "worker_lost", "message": "Lost"})

    def broken(ctx: Context, task_input: GreetInput) -> None:
        ctx.step("make", lambda: 1 / 0)

    became = [perform(harness, broken, attempt, task_id=task_id)[0] for attempt in (3, 4, 5)]
    assert became == [TaskStatus.RETRYING, TaskStatus.RETRYING, TaskStatus.FAILED]
    assert harness.events[-1].data["error"]["tries"] == 3


def test_a_permanent_error_outside_of_steps_is_permanent(harness: Harness) -> None:
    def refuse(ctx: Context, task_input: GreetInput) -> None:
        raise PermanentError("no", code="never")

    assert perform(harness, refuse, task_input={})[0] is TaskStatus.FAILED
    assert harness.events[-1].data["error"] == {"code": "never", "message": "no"}


def test_a_cancel_before_the_last_commit_wins(harness: Harness) -> None:
    def cancel(ctx: Context, task_input: GreetInput) -> str:
        task_service.cancel(harness.rt, ctx.task_id)
        return "done, but too late"

    assert perform(harness, cancel, task_input={})[0] is TaskStatus.CANCELLED
    assert harness.story() == [*BEGINNING, "1: cancel requested", "1: CANCELLED"]


def test_a_run_that_lost_its_task_writes_no_end(harness: Harness) -> None:
    def lose(ctx: Context, task_input: GreetInput) -> str:
        harness.rt.proposals.lost(ctx.task_id, 1, {"code": "worker_lost", "message": "Lost"})
        return "too late"

    assert perform(harness, lose, task_input={})[0] is None
    assert harness.story() == [*BEGINNING, "1: RETRYING worker_lost"]


def test_a_database_outage_is_not_counted_as_an_error_of_the_agent(
    make_harness: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = make_harness(heartbeat_seconds=0.02)
    complete, tries = harness.rt.runs.complete, []

    def away_at_first(_: object, *end: Any) -> Any:
        tries.append(end)
        return complete(*end) if len(tries) > 2 else away()

    def away(*_: object) -> None:
        raise Unavailable("the database is locked or unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(type(harness.rt.runs), "claim", away)
        assert perform(harness, greet)[0] is None
    with monkeypatch.context() as patched:
        patched.setattr(type(harness.rt.runs), "complete", away_at_first)
        assert perform(harness, greet, task_input={})[0] is TaskStatus.COMPLETED
    assert len(tries) == 3


def test_nothing_escapes_to_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(run_task, "perform", broken)
    monkeypatch.setattr(run_task, "runtime", lambda: None)
    run_task.run("task", 1)


def test_output_without_an_end_of_line_is_logged_with_its_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def also() -> None:
        sys.stdout.write("from a coroutine")

    def prints(*_: object) -> None:
        sys.stderr.write("an error")
        sys.stdout.write("no end, ")
        asyncio.run(also())
        thread = threading.Thread(target=print, args=["from a thread"], kwargs={"end": ""})
        thread.start()
        thread.join()

    def log_line(_: LineStream, line: str) -> None:
        if line:
            logged.append((line, sorted(structlog.contextvars.get_contextvars())))

    logged: list[tuple[str, list[str]]] = []
    thread_context.inherit_context()
    monkeypatch.setattr(sys, "stdout", LineStream(sys.stdout, "stdout", logging.INFO))
    monkeypatch.setattr(sys, "stderr", LineStream(sys.stderr, "stderr", logging.WARNING))
    monkeypatch.setattr(run_task, "perform", prints)
    monkeypatch.setattr(run_task, "runtime", lambda: None)
    monkeypatch.setattr(LineStream, "_log_line", log_line)
    try:
        run_task.run("task", 1)
    finally:
        thread_context.restore()
    of_the_run = ["attempt", "task_id"]
    assert logged == [
        ("from a thread", of_the_run),
        ("no end, from a coroutine", of_the_run),
        ("an error", of_the_run),
    ]
