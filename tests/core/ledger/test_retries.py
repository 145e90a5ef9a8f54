"""Requested retries: another attempt that keeps the finished steps, or those before one step."""

from __future__ import annotations

import pytest

from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import ERROR, LOST, Domain


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED], ids=str)
def test_an_ended_task_gets_another_attempt(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    story = domain.story()
    attempt = domain.task(task_id).attempt
    task, events = domain.ledger.retry(task_id)
    assert (task.status, events[0].data["message"]) == ("RETRYING", "Retry requested")
    assert domain.outbox() == {task_id: (attempt + 1, 0)}
    assert domain.due_in(task_id) <= 0
    row = domain.task(task_id)
    assert (row.retries, row.losses, row.cancel_requested_at, row.expires_at, row.error) == (1, 0, None, None, None)
    domain.runs.complete(domain.claim(task_id, attempt + 1), None)
    assert domain.story(after=len(story)) == ["RETRYING", "QUEUED", "IN_PROGRESS 0", "COMPLETED"]


@pytest.mark.parametrize(
    "status", [status for status in TaskStatus if status not in ("FAILED", "CANCELLED", "EXPIRED")], ids=str
)
def test_an_open_or_completed_task_is_not_retried(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    story, entries = domain.story(), domain.outbox()
    with pytest.raises(Conflict) as refused:
        domain.ledger.retry(task_id)
    assert refused.value.field == "status"
    assert (domain.story(), domain.outbox()) == (story, entries)


def test_no_task_cannot_be_retried(domain: Domain) -> None:
    with pytest.raises(NotFound):
        domain.ledger.retry("00000000-0000-4000-8000-000000000000")


def _three_steps_and_a_failure(domain: Domain) -> str:
    claim = domain.running()
    domain.perform(claim, "a", "A", progress=30)
    domain.perform(claim, "b", "B", progress=60)
    domain.runs.start_step(claim, "c", "Agent", "work")
    domain.runs.fail_step(claim, "c", ERROR)
    domain.runs.fail(claim, ERROR)
    return claim.task_id


@pytest.mark.parametrize(
    ("from_step", "saved", "progress"),
    [(None, {"a", "b"}, 60), ("a", set(), 0), ("b", {"a"}, 30), ("c", {"a", "b"}, 60)],
)
def test_a_retry_keeps_the_steps_before_the_one_it_starts_from(
    domain: Domain, from_step: str | None, saved: set[str], progress: int
) -> None:
    task_id = _three_steps_and_a_failure(domain)
    story = domain.story()
    domain.ledger.retry(task_id, from_step)
    claim = domain.claim(task_id, 2)
    assert set(claim.saved) == saved
    for key in "abc":
        if key not in saved:
            assert domain.runs.start_step(claim, key, "Agent", "work").tries == 1
            domain.runs.finish_step(claim, key, key * 2)
    again = [part for key in "abc" if key not in saved for part in (f"{key} in_progress", f"{key} completed")]
    assert domain.story(after=len(story)) == ["RETRYING", "QUEUED", f"IN_PROGRESS {progress}", *again]
    assert [step.position for step in domain.steps(task_id)] == [1, 2, 3]


def test_a_retry_from_a_step_that_is_not_there_is_refused_and_changes_nothing(domain: Domain) -> None:
    task_id = _three_steps_and_a_failure(domain)
    story = domain.story()
    with pytest.raises(InvalidInput) as refused:
        domain.ledger.retry(task_id, "z")
    assert refused.value.field == "from_step"
    assert domain.story() == story
    assert set(domain.steps(task_id)[0].key) == {"a"}
    domain.ledger.retry(task_id)
    assert set(domain.claim(task_id, 2).saved) == {"a", "b"}


def test_a_retry_twice_is_one_and_a_conflict(domain: Domain) -> None:
    task_id = domain.failed()
    domain.ledger.retry(task_id)
    with pytest.raises(Conflict):
        domain.ledger.retry(task_id)
    assert domain.story(after=4) == ["RETRYING"]


def test_a_task_can_be_retried_again_and_again(domain: Domain) -> None:
    task_id = domain.failed()
    for attempt in (2, 3, 4):
        domain.ledger.retry(task_id)
        domain.runs.fail(domain.claim(task_id, attempt), ERROR)
    assert domain.story(after=4) == ["RETRYING", "QUEUED", "IN_PROGRESS 0", "FAILED"] * 3
    assert domain.task(task_id).retries == 3


def test_steps_that_a_retry_repeats_have_new_events_with_their_old_ids(domain: Domain) -> None:
    task_id = _three_steps_and_a_failure(domain)
    before = {event.data["key"]: event.data["step_id"] for event in domain.events() if event.type == "execution_step"}
    domain.ledger.retry(task_id, "a")
    claim = domain.claim(task_id, 2)
    for key in "abc":
        domain.perform(claim, key, key)
    again = [event for event in domain.events() if event.type == "execution_step" and event.attempt == 2]
    assert {event.data["key"]: event.data["step_id"] for event in again} == before
    assert len({event.id for event in domain.events()}) == len(domain.events())


def test_a_retry_forgives_losses(domain: Domain) -> None:
    claim = domain.running()
    domain.proposals.lost(claim.task_id, 1, LOST)
    domain.runs.fail(domain.claim(claim.task_id, 2), ERROR)
    assert domain.task(claim.task_id).losses == 1
    domain.ledger.retry(claim.task_id)
    assert domain.task(claim.task_id).losses == 0
