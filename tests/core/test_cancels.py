"""Cancels: at once where nothing has started, otherwise durable, and stronger than any other end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from app.core.errors import CancelRequested, Conflict, LeaseLost, NotFound
from app.core.states import TaskStatus
from tests.core.stage import CANCELLED, ERROR, LOST, Stage


@pytest.mark.parametrize(
    "status", [TaskStatus.SUBMITTED, TaskStatus.QUEUED, TaskStatus.RETRYING, TaskStatus.WAITING], ids=str
)
def test_what_does_not_run_is_cancelled_at_once(stage: Stage, status: TaskStatus) -> None:
    task_id = stage.bring_to(status)
    told = stage.story()
    task, events = stage.ledger.request_cancel(task_id)
    assert (task.status, [event.data["status"] for event in events]) == ("CANCELLED", ["CANCELLED"])
    assert stage.story(after=len(told)) == ["CANCELLED"]
    assert stage.wishes() == {}
    assert events[0].data["previous_status"] == status
    assert "error" not in events[0].data


def test_a_run_is_asked_to_stop_and_told_so_to_everybody(stage: Stage) -> None:
    claim = stage.running()
    task, events = stage.ledger.request_cancel(claim.task_id)
    assert (task.status, len(events)) == ("IN_PROGRESS", 1)
    assert events[0].data == {
        "progress": 0.0,
        "message": "Cancellation requested",
        "timestamp": events[0].data["timestamp"],
        "cancel_requested": True,
    }
    assert stage.runs.cancelled(claim) is TaskStatus.CANCELLED
    assert stage.story(after=3) == ["0 Cancellation requested", "CANCELLED"]


def test_asking_again_changes_nothing(stage: Stage) -> None:
    claim = stage.running()
    stage.ledger.request_cancel(claim.task_id)
    assert stage.ledger.request_cancel(claim.task_id)[1] == []
    stage.runs.cancelled(claim)
    task, events = stage.ledger.request_cancel(claim.task_id)
    assert (task.status, events) == ("CANCELLED", [])
    assert stage.story(after=3) == ["0 Cancellation requested", "CANCELLED"]


@pytest.mark.parametrize("status", [TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.EXPIRED], ids=str)
def test_what_has_ended_in_another_way_is_not_cancelled(stage: Stage, status: TaskStatus) -> None:
    task_id = stage.bring_to(status)
    told = stage.story()
    with pytest.raises(Conflict) as refused:
        stage.ledger.request_cancel(task_id)
    assert (refused.value.field, str(refused.value)) == ("status", f"the task is already {status}")
    assert stage.story() == told


def test_no_task_cannot_be_cancelled(stage: Stage) -> None:
    with pytest.raises(NotFound) as refused:
        stage.ledger.request_cancel("00000000-0000-4000-8000-000000000000")
    assert refused.value.field == "task_id"


ENDS: dict[str, tuple[Any, ...]] = {
    "complete": ({"r": 1},),
    "fail": (ERROR,),
    "retry_later": (ERROR, 0.0),
    "cancelled": (),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_cancel_that_came_first_wins_over_any_end(stage: Stage, end: str) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    stage.ledger.request_cancel(claim.task_id)
    assert getattr(stage.runs, end)(claim, *ENDS[end]) is TaskStatus.CANCELLED
    assert stage.story(after=3) == ["a in_progress", "0 Cancellation requested", "a failed", "CANCELLED"]
    assert stage.events()[-2].data["error"] == CANCELLED
    row = stage.task(claim.task_id)
    assert (row.result, row.error, row.progress) == (None, None, 0.0)
    assert stage.wishes() == {}


@pytest.mark.parametrize("proposal", ["propose_failed", "propose_lost"])
def test_a_cancel_that_came_first_wins_over_a_signal(stage: Stage, proposal: str) -> None:
    claim = stage.running()
    stage.ledger.request_cancel(claim.task_id)
    getattr(stage.ledger, proposal)(claim.task_id, 1, LOST)
    assert stage.story(after=3) == ["0 Cancellation requested", "CANCELLED"]


@pytest.mark.parametrize("end", ["complete", "fail", "retry_later"])
def test_a_cancel_racing_an_end_leaves_one_outcome_that_both_sides_were_told(stage: Stage, end: str) -> None:
    for _ in range(5):
        claim = stage.running()
        outcome: dict[str, str] = {}
        gate = threading.Barrier(2)

        def cancel(task_id: str, gate: threading.Barrier, outcome: dict[str, str]) -> None:
            gate.wait()
            try:
                outcome["cancel"] = stage.ledger.request_cancel(task_id)[0].status
            except Conflict:
                outcome["cancel"] = "refused"

        thread = threading.Thread(target=cancel, args=(claim.task_id, gate, outcome))
        thread.start()
        gate.wait()
        became = getattr(stage.runs, end)(claim, *ENDS[end])
        thread.join()
        status = stage.task(claim.task_id).status
        if outcome["cancel"] == "refused":
            assert became == status != "CANCELLED"
        else:
            # Accepted: before the end (which then became CANCELLED), or after it, when it was to be retried.
            assert status == "CANCELLED"
            assert became == ("CANCELLED" if outcome["cancel"] == "IN_PROGRESS" else "RETRYING")
        stage.events()


def test_a_cancel_racing_a_claim_leaves_a_cancelled_task(stage: Stage) -> None:
    for _ in range(5):
        task_id = stage.queued()
        gate = threading.Barrier(2)

        def cancel(task_id: str, gate: threading.Barrier) -> None:
            gate.wait()
            stage.ledger.request_cancel(task_id)

        thread = threading.Thread(target=cancel, args=(task_id, gate))
        thread.start()
        gate.wait()
        claim = stage.runs.claim(task_id, 1, "worker")
        thread.join()
        if claim is not None:
            with pytest.raises((CancelRequested, LeaseLost)):
                stage.runs.start_step(claim, "a", "Agent", "work")
            stage.runs.cancelled(claim)
        assert stage.task(task_id).status == "CANCELLED"
        stage.events()


def test_a_cancelled_task_that_is_retried_is_not_cancelled_again(stage: Stage) -> None:
    claim = stage.running()
    stage.ledger.request_cancel(claim.task_id)
    stage.runs.cancelled(claim)
    stage.ledger.retry(claim.task_id)
    claim = stage.claim(claim.task_id, 2)
    assert not stage.runs.heartbeat(claim, 0.0, "").cancel_requested
    stage.runs.complete(claim, None)
    assert stage.story(after=5) == ["RETRYING", "QUEUED", "IN_PROGRESS 0", "COMPLETED"]


def test_a_retried_task_can_be_cancelled_again_before_and_during_its_run(stage: Stage) -> None:
    task_id = stage.submit()
    stage.ledger.request_cancel(task_id)
    stage.ledger.retry(task_id)
    stage.ledger.request_cancel(task_id)
    stage.ledger.retry(task_id)
    claim = stage.claim(task_id, 1)
    stage.ledger.request_cancel(task_id)
    stage.runs.cancelled(claim)
    stage.ledger.retry(task_id)
    stage.ledger.request_cancel(task_id)
    assert stage.story() == [
        "SUBMITTED",
        "CANCELLED",
        "RETRYING",
        "CANCELLED",
        "RETRYING",
        "QUEUED",
        "IN_PROGRESS 0",
        "0 Cancellation requested",
        "CANCELLED",
        "RETRYING",
        "CANCELLED",
    ]
