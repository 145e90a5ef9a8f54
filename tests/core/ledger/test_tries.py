"""Tries: the errors of a step count, not its starts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.core.domain import ERROR, LOST, Domain


def _lose(domain: Domain, task_id: str, attempt: int) -> None:
    domain.proposals.lost(task_id, attempt, LOST)


def _lapse(domain: Domain, task_id: str, attempt: int) -> None:
    domain.lapse(task_id)
    assert domain.rt.lease_expiry.run() == 1


@pytest.mark.parametrize("lose", [_lose, _lapse])
def test_a_worker_that_is_lost_in_a_step_costs_it_no_try(
    domain: Domain, lose: Callable[[Domain, str, int], None]
) -> None:
    task_id = domain.queued()
    for attempt in (1, 2, 3):
        claim = domain.claim(task_id, attempt)
        assert domain.runs.start_step(claim, "a", "Agent", "work").tries == 1
        lose(domain, task_id, attempt)
    assert [step.tries for step in domain.steps(task_id)] == [1]
    assert domain.task(task_id).losses == 3


def test_failures_are_counted_through_lost_workers_and_reset_by_a_requested_retry(domain: Domain) -> None:
    task_id = domain.queued()
    tries = []
    for attempt, fails in enumerate([True, False, True, False], start=1):
        claim = domain.claim(task_id, attempt)
        tries.append(domain.runs.start_step(claim, "a", "Agent", "work").tries)
        if fails:
            domain.runs.fail_step(claim, "a", ERROR)
            domain.runs.retry_later(claim, ERROR, 0.0)
        else:
            domain.proposals.lost(task_id, attempt, LOST)
    assert tries == [1, 2, 2, 3]
    domain.runs.fail(domain.claim(task_id, 5), ERROR)
    domain.ledger.retry(task_id)
    assert domain.runs.start_step(domain.claim(task_id, 6), "a", "Agent", "work").tries == 1


def test_a_failure_that_is_reported_twice_counts_once(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.runs.fail_step(claim, "a", ERROR)
    domain.runs.fail_step(claim, "a", ERROR)
    domain.runs.retry_later(claim, ERROR, 0.0)
    assert domain.runs.start_step(domain.claim(claim.task_id, 2), "a", "Agent", "work").tries == 2


def test_a_step_around_a_failed_step_has_not_failed(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "outer", "Agent", "work")
    domain.runs.start_step(claim, "inner", "Agent", "work")
    domain.runs.fail_step(claim, "inner", ERROR)
    domain.runs.retry_later(claim, ERROR, 0.0)
    again = domain.claim(claim.task_id, 2)
    assert domain.runs.start_step(again, "outer", "Agent", "work").tries == 1
    assert domain.runs.start_step(again, "inner", "Agent", "work").tries == 2


def test_only_errors_outside_of_steps_are_counted_for_the_task(domain: Domain) -> None:
    task_id = domain.queued()
    domain.runs.retry_later(domain.claim(task_id, 1), ERROR, 0.0)
    domain.proposals.lost(domain.claim(task_id, 2).task_id, 2, LOST)
    claim = domain.claim(task_id, 3)
    assert claim.failures == 0
    domain.runs.retry_later(claim, ERROR, 0.0, outside_steps=True)
    claim = domain.claim(task_id, 4)
    assert claim.failures == 1
    domain.runs.fail(claim, ERROR)
    domain.ledger.retry(task_id)
    assert domain.claim(task_id, 5).failures == 0
