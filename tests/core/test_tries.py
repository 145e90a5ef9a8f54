"""Tries: what is counted is the errors of a step, and not how often it was started."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core.stage import ERROR, LOST, Stage


def _lose(stage: Stage, task_id: str, attempt: int) -> None:
    stage.ledger.propose_lost(task_id, attempt, LOST)


def _lapse(stage: Stage, task_id: str, attempt: int) -> None:
    stage.lapse(task_id)
    assert stage.rt.reaper.run() == 1


@pytest.mark.parametrize("lose", [_lose, _lapse])
def test_a_worker_that_is_lost_in_a_step_costs_it_no_try(stage: Stage, lose: Callable[[Stage, str, int], None]) -> None:
    task_id = stage.queued()
    for attempt in (1, 2, 3):
        claim = stage.claim(task_id, attempt)
        assert stage.runs.start_step(claim, "a", "Agent", "work").tries == 1
        lose(stage, task_id, attempt)
    assert [step.tries for step in stage.steps(task_id)] == [1]
    assert stage.task(task_id).losses == 3


def test_failures_are_counted_through_lost_workers_and_forgotten_when_somebody_asks_for_a_retry(stage: Stage) -> None:
    task_id = stage.queued()
    tries = []
    for attempt, fails in enumerate([True, False, True, False], start=1):
        claim = stage.claim(task_id, attempt)
        tries.append(stage.runs.start_step(claim, "a", "Agent", "work").tries)
        if fails:
            stage.runs.fail_step(claim, "a", ERROR)
            stage.runs.retry_later(claim, ERROR, 0.0)
        else:
            stage.ledger.propose_lost(task_id, attempt, LOST)
    assert tries == [1, 2, 2, 3]
    stage.runs.fail(stage.claim(task_id, 5), ERROR)
    stage.ledger.retry(task_id)
    assert stage.runs.start_step(stage.claim(task_id, 6), "a", "Agent", "work").tries == 1


def test_a_failure_that_is_told_twice_is_one(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    stage.runs.fail_step(claim, "a", ERROR)
    stage.runs.fail_step(claim, "a", ERROR)
    stage.runs.retry_later(claim, ERROR, 0.0)
    assert stage.runs.start_step(stage.claim(claim.task_id, 2), "a", "Agent", "work").tries == 2


def test_a_step_around_the_one_that_failed_has_not_failed_itself(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "outer", "Agent", "work")
    stage.runs.start_step(claim, "inner", "Agent", "work")
    stage.runs.fail_step(claim, "inner", ERROR)
    stage.runs.retry_later(claim, ERROR, 0.0)
    again = stage.claim(claim.task_id, 2)
    assert stage.runs.start_step(again, "outer", "Agent", "work").tries == 1
    assert stage.runs.start_step(again, "inner", "Agent", "work").tries == 2


def test_only_errors_outside_of_steps_are_counted_for_the_task(stage: Stage) -> None:
    task_id = stage.queued()
    stage.runs.retry_later(stage.claim(task_id, 1), ERROR, 0.0)
    stage.ledger.propose_lost(stage.claim(task_id, 2).task_id, 2, LOST)
    claim = stage.claim(task_id, 3)
    assert claim.failures == 0
    stage.runs.retry_later(claim, ERROR, 0.0, outside_steps=True)
    claim = stage.claim(task_id, 4)
    assert claim.failures == 1
    stage.runs.fail(claim, ERROR)
    stage.ledger.retry(task_id)
    assert stage.claim(task_id, 5).failures == 0
