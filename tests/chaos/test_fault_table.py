"""Faults of an agent's code, and the resulting status of the task."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.deployment import Deployment
from tests.harness.tasks.event_lines import BEGINNING, steps, story


def end_of(deployment: Deployment, kind: str, payload: object) -> tuple[dict[str, Any], list[str]]:
    """Submit, wait for the end, and return the task with all its events."""
    instance = deployment.new_instance()
    task_id = deployment.submit(instance, kind, payload)
    task = deployment.wait_for_task(task_id)
    return task, story(deployment.events(instance))


def test_an_exception_is_tried_again(limited_deployment: Deployment) -> None:
    task, lines = end_of(limited_deployment, "probe", {"steps": 2, "fail_at": 2, "failures": 1})
    assert task["result"] == {"steps": 2, "attempt": 2}
    assert lines == [
        *BEGINNING,
        "1: step-1 in_progress",
        "1: step-1 completed",
        "1: 50%",
        "1: step-2 in_progress",
        "1: step-2 failed exception",
        "1: RETRYING exception",
        "1: QUEUED",
        "2: IN_PROGRESS",
        "2: step-2 in_progress",
        "2: step-2 completed",
        "2: 100%",
        "2: COMPLETED",
    ]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("exception", "ProbeError", "step 1 fails, as asked"),
        ("exit", "SystemExit", "SystemExit: 3"),
        ("memory", "MemoryError", "step 1 fails, as asked"),
    ],
)
def test_exhausted_retries_fail_the_task(limited_deployment: Deployment, error: str, kind: str, message: str) -> None:
    task, lines = end_of(limited_deployment, "probe", {"steps": 1, "fail_at": 1, "failures": 9, "error": error})
    assert task["error"] == {"code": "exception", "message": message, "type": kind, "step": "step-1", "tries": 3}
    assert lines == [
        *BEGINNING,
        *["1: step-1 in_progress", "1: step-1 failed exception", "1: RETRYING exception", "1: QUEUED"],
        *["2: IN_PROGRESS", "2: step-1 in_progress", "2: step-1 failed exception", "2: RETRYING exception"],
        *["2: QUEUED", "3: IN_PROGRESS", "3: step-1 in_progress", "3: step-1 failed exception", "3: FAILED exception"],
    ]


def test_a_permanent_error_fails_at_once(limited_deployment: Deployment) -> None:
    task, lines = end_of(limited_deployment, "probe", {"steps": 1, "fail_at": 1, "error": "permanent"})
    assert task["error"] == {"code": "probe", "message": "step 1 fails, as asked"}
    assert lines == [*BEGINNING, "1: step-1 in_progress", "1: step-1 failed probe", "1: FAILED probe"]


def test_the_soft_limit_interrupts_a_blocking_step_and_fails_the_task(limited_deployment: Deployment) -> None:
    task, lines = end_of(limited_deployment, "probe", {"steps": 1, "seconds": 600, "blocking": True})
    assert task["error"] == {"code": "soft_time_limit", "message": "The soft time limit was exceeded"}
    code = "soft_time_limit"
    assert lines == [*BEGINNING, "1: step-1 in_progress", f"1: step-1 failed {code}", f"1: FAILED {code}"]


def test_the_hard_limit_kills_a_step_that_ignores_the_soft_one(limited_deployment: Deployment) -> None:
    task, lines = end_of(limited_deployment, "paused", {"path": "/nowhere", "manner": "unresponsive"})
    assert task["error"] == {"code": "hard_time_limit", "message": "The hard time limit was exceeded"}
    assert lines == [
        *BEGINNING,
        "1: first in_progress",
        "1: first completed",
        "1: 10%",
        "1: wait in_progress",
        "1: wait failed hard_time_limit",
        "1: FAILED hard_time_limit",
    ]
    # The pool has a new child that works.
    assert end_of(limited_deployment, "probe", {"steps": 1})[0]["status"] == "COMPLETED"


def test_a_lack_of_memory_fails_the_step_only(limited_deployment: Deployment) -> None:
    task, lines = end_of(limited_deployment, "odd", {"thing": "memory"})
    assert task["error"]["type"] in ("MemoryError", "OverflowError")
    assert lines == [*BEGINNING, "1: eat in_progress", "1: eat failed exception", "1: FAILED exception"]


@pytest.mark.parametrize(("thing", "kind"), [("raise outside", "LookupError"), ("exit outside", "SystemExit")])
def test_an_error_outside_of_steps_is_tried_again_too(limited_deployment: Deployment, thing: str, kind: str) -> None:
    task, lines = end_of(limited_deployment, "odd", {"thing": thing})
    assert task["error"]["type"] == kind
    retried = [line for n in (1, 2) for line in (f"{n}: RETRYING exception", f"{n}: QUEUED", f"{n + 1}: IN_PROGRESS")]
    assert lines == [*BEGINNING, *retried, "3: FAILED exception"]


@pytest.mark.parametrize(
    ("thing", "code"), [("not json", "not_json"), ("too large", "output_too_large"), ("twice", "bad_step")]
)
def test_an_output_that_cannot_be_saved_fails_at_once(limited_deployment: Deployment, thing: str, code: str) -> None:
    task, lines = end_of(limited_deployment, "odd", {"thing": thing})
    assert task["error"]["code"] == code
    middle = steps(1, "twice") if thing == "twice" else ["1: make in_progress", f"1: make failed {code}"]
    assert lines == [*BEGINNING, *middle, f"1: FAILED {code}"]


def test_a_result_may_not_be_too_large_either(limited_deployment: Deployment) -> None:
    task, lines = end_of(limited_deployment, "odd", {"thing": "too large outside"})
    assert lines == [*BEGINNING, "1: FAILED output_too_large"]
    assert task["result"] is None


def test_an_agent_that_swallows_the_end_does_not_escape_it(limited_deployment: Deployment) -> None:
    task, lines = end_of(limited_deployment, "odd", {"thing": "swallow"})
    assert task["result"] is None
    assert lines == [*BEGINNING, "1: fail in_progress", "1: fail failed exception", "1: FAILED exception"]
