"""Ends of runs: the status of the task, the exact events, and refused ends."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.core.errors import LeaseLost
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import CANCELLED, ERROR, LOST, Domain

ENDS: dict[str, tuple[tuple[Any, ...], str]] = {
    "complete": (({"r": 1},), "COMPLETED"),
    "fail": ((ERROR,), "FAILED"),
    "cancelled": ((), "CANCELLED"),
    "retry_later": ((ERROR, 5.0), "RETRYING"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_ends_in_one_event(domain: Domain, end: str) -> None:
    claim = domain.running()
    arguments, status = ENDS[end]
    assert getattr(domain.runs, end)(claim, *arguments) == status
    assert domain.story(after=3) == [status]
    row = domain.task(claim.task_id)
    assert (row.token, row.lease_until) == (None, None)
    assert (row.finished_at is None) == (status == "RETRYING")


def test_a_result_is_in_its_event_and_row_and_progress_is_full(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.complete(claim, {"r": [1, None]})
    data = domain.events()[-1].data
    assert (data["result"], data["progress"], data["message"]) == ({"r": [1, None]}, 100.0, "Completed")
    assert "error" not in data


def test_a_task_may_complete_without_a_result(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.complete(claim, None)
    assert "result" not in domain.events()[-1].data
    assert domain.task(claim.task_id).result is None


@pytest.mark.parametrize("result", [False, 0, "", [], {}])
def test_a_result_that_is_empty_is_a_result(domain: Domain, result: Any) -> None:
    claim = domain.running()
    domain.runs.complete(claim, result)
    assert domain.events()[-1].data["result"] == result


def test_a_failure_has_an_event_with_its_error_and_message(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", progress=40)
    domain.runs.fail(claim, ERROR)
    data = domain.events()[-1].data
    assert (data["error"], data["message"], data["progress"]) == (ERROR, "It broke", 40.0)


def test_a_retry_is_wished_for_no_earlier_than_its_delay(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.retry_later(claim, ERROR, 90.0)
    assert domain.events()[-1].data["error"] == ERROR
    assert domain.outbox() == {claim.task_id: (2, 0)}
    assert 60.0 < domain.due_in(claim.task_id) <= 90.0


def test_the_next_attempt_clears_the_error_of_the_last(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.retry_later(claim, ERROR, 0.0)
    claim = domain.claim(claim.task_id, 2)
    assert domain.task(claim.task_id).error is None
    assert all("error" not in event.data for event in domain.events()[4:])


@pytest.mark.parametrize("end", ["fail", "retry_later", "cancelled"])
def test_a_run_that_ends_early_leaves_no_step_open(domain: Domain, end: str) -> None:
    claim = domain.running()
    domain.perform(claim, "a")
    domain.runs.start_step(claim, "b", "Agent", "work")
    domain.runs.start_step(claim, "c", "Agent", "work")
    arguments, status = ENDS[end]
    getattr(domain.runs, end)(claim, *arguments)
    assert domain.story(after=5) == ["b in_progress", "c in_progress", "b failed", "c failed", status]
    expected = CANCELLED if end == "cancelled" else ERROR
    assert [event.data["error"] for event in domain.events()[7:9]] == [expected, expected]


def test_a_task_that_completes_leaves_no_step_open_either(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.runs.complete(claim, None)
    assert domain.story(after=3) == ["a in_progress", "a failed", "COMPLETED"]
    assert domain.events()[-2].data["error"]["code"] == "unfinished"


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_after_an_end_no_other_end_counts(domain: Domain, first: str, second: str) -> None:
    claim = domain.running()
    getattr(domain.runs, first)(claim, *ENDS[first][0])
    story = domain.story()
    with pytest.raises(LeaseLost):
        getattr(domain.runs, second)(claim, *ENDS[second][0])
    assert domain.story() == story


def test_a_reported_failure_ends_the_run_once(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    error = {"code": "hard_time_limit", "message": "Too long"}
    domain.proposals.failed(claim.task_id, 1, error)
    domain.proposals.failed(claim.task_id, 1, error)
    domain.proposals.lost(claim.task_id, 1, LOST)
    assert domain.story(after=3) == ["a in_progress", "a failed", "FAILED"]
    assert domain.events()[-1].data["error"] == error


def test_a_signal_about_an_older_attempt_changes_nothing(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.retry_later(claim, ERROR, 0.0)
    domain.claim(claim.task_id, 2)
    story = domain.story()
    domain.proposals.failed(claim.task_id, 1, ERROR)
    domain.proposals.lost(claim.task_id, 1, LOST)
    domain.proposals.cancelled(claim.task_id, 1)
    assert domain.story() == story


@pytest.mark.parametrize("status", [status for status in TaskStatus if status is not TaskStatus.IN_PROGRESS])
def test_a_signal_about_a_run_that_is_over_changes_nothing(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    attempt = domain.task(task_id).attempt
    story = domain.story()
    for proposed in (attempt, attempt + 1):
        domain.proposals.failed(task_id, proposed, ERROR)
        domain.proposals.lost(task_id, proposed, LOST)
    assert domain.story() == story


@pytest.mark.parametrize("status", TaskStatus)
def test_a_revoked_message_cancels_an_open_task(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    row, story = domain.task(task_id), domain.story()
    attempt = row.attempt + (status is not TaskStatus.IN_PROGRESS)
    domain.proposals.cancelled(task_id, attempt)
    domain.proposals.cancelled(task_id, attempt)
    ends = row.finished_at is None
    assert domain.story(after=len(story)) == (["CANCELLED"] if ends else [])


def test_signals_about_no_task_change_nothing(domain: Domain) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    domain.proposals.failed(unknown, 1, ERROR)
    domain.proposals.lost(unknown, 1, LOST)
    domain.proposals.cancelled(unknown, 1)
    domain.proposals.discarded(unknown, 1)
    domain.ledger.mark_queued(unknown, 1, 1.0)
    assert domain.story() == []


def test_the_task_of_a_discarded_message_is_due_soon(domain: Domain) -> None:
    task_id = domain.submit()
    domain.ledger.mark_queued(task_id, 1, 3000.0)
    domain.proposals.discarded(task_id, 2)
    assert domain.due_in(task_id) > 100.0
    domain.proposals.discarded(task_id, 1)
    assert domain.due_in(task_id) <= domain.settings.backoff_base
    assert domain.outbox() == {task_id: (1, 1)}
