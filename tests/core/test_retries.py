"""Retries that somebody asks for: another attempt that keeps the finished steps, all of them or up to one."""

from __future__ import annotations

import pytest

from app.core.errors import Conflict, InvalidInput, NotFound
from app.core.states import TaskStatus
from tests.core.stage import ERROR, LOST, Stage


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED], ids=str)
def test_an_ended_task_gets_another_attempt(stage: Stage, status: TaskStatus) -> None:
    task_id = stage.bring_to(status)
    told = stage.story()
    attempt = stage.task(task_id).attempt
    task, events = stage.ledger.retry(task_id)
    assert (task.status, events[0].data["message"]) == ("RETRYING", "Retry requested")
    assert stage.wishes() == {task_id: (attempt + 1, 0)}
    assert stage.due_in(task_id) <= 0
    row = stage.task(task_id)
    assert (row.retries, row.losses, row.cancel_requested_at, row.expires_at, row.error) == (1, 0, None, None, None)
    stage.runs.complete(stage.claim(task_id, attempt + 1), None)
    assert stage.story(after=len(told)) == ["RETRYING", "QUEUED", "IN_PROGRESS 0", "COMPLETED"]


@pytest.mark.parametrize(
    "status", [status for status in TaskStatus if status not in ("FAILED", "CANCELLED", "EXPIRED")], ids=str
)
def test_what_has_not_ended_or_has_completed_is_not_retried(stage: Stage, status: TaskStatus) -> None:
    task_id = stage.bring_to(status)
    told, wishes = stage.story(), stage.wishes()
    with pytest.raises(Conflict) as refused:
        stage.ledger.retry(task_id)
    assert refused.value.field == "status"
    assert (stage.story(), stage.wishes()) == (told, wishes)


def test_no_task_cannot_be_retried(stage: Stage) -> None:
    with pytest.raises(NotFound):
        stage.ledger.retry("00000000-0000-4000-8000-000000000000")


def _three_steps_and_a_failure(stage: Stage) -> str:
    claim = stage.running()
    stage.perform(claim, "a", "A", progress=30)
    stage.perform(claim, "b", "B", progress=60)
    stage.runs.start_step(claim, "c", "Agent", "work")
    stage.runs.fail_step(claim, "c", ERROR)
    stage.runs.fail(claim, ERROR)
    return claim.task_id


@pytest.mark.parametrize(
    ("from_step", "kept", "progress"),
    [(None, {"a", "b"}, 60), ("a", set(), 0), ("b", {"a"}, 30), ("c", {"a", "b"}, 60)],
)
def test_a_retry_keeps_the_steps_before_the_one_it_starts_from(
    stage: Stage, from_step: str | None, kept: set[str], progress: int
) -> None:
    task_id = _three_steps_and_a_failure(stage)
    told = stage.story()
    stage.ledger.retry(task_id, from_step)
    claim = stage.claim(task_id, 2)
    assert set(claim.saved) == kept
    for key in "abc":
        if key not in kept:
            assert stage.runs.start_step(claim, key, "Agent", "work").tries == 1
            stage.runs.finish_step(claim, key, key * 2)
    again = [part for key in "abc" if key not in kept for part in (f"{key} in_progress", f"{key} completed")]
    assert stage.story(after=len(told)) == ["RETRYING", "QUEUED", f"IN_PROGRESS {progress}", *again]
    assert [step.position for step in stage.steps(task_id)] == [1, 2, 3]


def test_a_retry_from_a_step_that_is_not_there_is_refused_and_changes_nothing(stage: Stage) -> None:
    task_id = _three_steps_and_a_failure(stage)
    told = stage.story()
    with pytest.raises(InvalidInput) as refused:
        stage.ledger.retry(task_id, "z")
    assert refused.value.field == "from_step"
    assert stage.story() == told
    assert set(stage.steps(task_id)[0].key) == {"a"}
    stage.ledger.retry(task_id)
    assert set(stage.claim(task_id, 2).saved) == {"a", "b"}


def test_a_retry_twice_is_one_and_a_conflict(stage: Stage) -> None:
    task_id = stage.failed()
    stage.ledger.retry(task_id)
    with pytest.raises(Conflict):
        stage.ledger.retry(task_id)
    assert stage.story(after=4) == ["RETRYING"]


def test_a_task_can_be_retried_again_and_again(stage: Stage) -> None:
    task_id = stage.failed()
    for attempt in (2, 3, 4):
        stage.ledger.retry(task_id)
        stage.runs.fail(stage.claim(task_id, attempt), ERROR)
    assert stage.story(after=4) == ["RETRYING", "QUEUED", "IN_PROGRESS 0", "FAILED"] * 3
    assert stage.task(task_id).retries == 3


def test_steps_that_a_retry_repeats_are_told_again_under_their_old_ids(stage: Stage) -> None:
    task_id = _three_steps_and_a_failure(stage)
    before = {event.data["key"]: event.data["step_id"] for event in stage.events() if event.type == "execution_step"}
    stage.ledger.retry(task_id, "a")
    claim = stage.claim(task_id, 2)
    for key in "abc":
        stage.perform(claim, key, key)
    again = [event for event in stage.events() if event.type == "execution_step" and event.attempt == 2]
    assert {event.data["key"]: event.data["step_id"] for event in again} == before
    assert len({event.id for event in stage.events()}) == len(stage.events())


def test_a_retry_forgives_losses(stage: Stage) -> None:
    claim = stage.running()
    stage.ledger.propose_lost(claim.task_id, 1, LOST)
    stage.runs.fail(stage.claim(claim.task_id, 2), ERROR)
    assert stage.task(claim.task_id).losses == 1
    stage.ledger.retry(claim.task_id)
    assert stage.task(claim.task_id).losses == 0
