"""Cancels: at once before a start, otherwise a durable request that wins over any other end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from swallowtail.app.core.errors import CancelRequested, Conflict, LeaseLost, NotFound
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import CANCELLED, ERROR, LOST, Domain


@pytest.mark.parametrize(
    "status", [TaskStatus.SUBMITTED, TaskStatus.QUEUED, TaskStatus.RETRYING, TaskStatus.WAITING], ids=str
)
def test_a_task_without_a_run_is_cancelled_at_once(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    story = domain.story()
    task, events = domain.ledger.request_cancel(task_id)
    assert (task.status, [event.data["status"] for event in events]) == ("CANCELLED", ["CANCELLED"])
    assert domain.story(after=len(story)) == ["CANCELLED"]
    assert domain.outbox() == {}
    assert events[0].data["previous_status"] == status
    assert "error" not in events[0].data


def test_a_cancel_request_is_recorded_and_published(domain: Domain) -> None:
    claim = domain.running()
    task, events = domain.ledger.request_cancel(claim.task_id)
    assert (task.status, len(events)) == ("IN_PROGRESS", 1)
    assert events[0].data == {
        "progress": 0.0,
        "message": "Cancellation requested",
        "timestamp": events[0].data["timestamp"],
        "cancel_requested": True,
    }
    assert domain.runs.cancelled(claim) is TaskStatus.CANCELLED
    assert domain.story(after=3) == ["0 Cancellation requested", "CANCELLED"]


def test_asking_again_changes_nothing(domain: Domain) -> None:
    claim = domain.running()
    domain.ledger.request_cancel(claim.task_id)
    assert domain.ledger.request_cancel(claim.task_id)[1] == []
    domain.runs.cancelled(claim)
    task, events = domain.ledger.request_cancel(claim.task_id)
    assert (task.status, events) == ("CANCELLED", [])
    assert domain.story(after=3) == ["0 Cancellation requested", "CANCELLED"]


@pytest.mark.parametrize("status", [TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.EXPIRED], ids=str)
def test_an_ended_task_is_not_cancelled(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    story = domain.story()
    with pytest.raises(Conflict) as refused:
        domain.ledger.request_cancel(task_id)
    assert (refused.value.field, str(refused.value)) == ("status", f"the task is already {status}")
    assert domain.story() == story


def test_no_task_cannot_be_cancelled(domain: Domain) -> None:
    with pytest.raises(NotFound) as refused:
        domain.ledger.request_cancel("00000000-0000-4000-8000-000000000000")
    assert refused.value.field == "task_id"


ENDS: dict[str, tuple[Any, ...]] = {
    "complete": ({"r": 1},),
    "fail": (ERROR,),
    "retry_later": (ERROR, 0.0),
    "cancelled": (),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_cancel_that_came_first_wins_over_any_end(domain: Domain, end: str) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.ledger.request_cancel(claim.task_id)
    assert getattr(domain.runs, end)(claim, *ENDS[end]) is TaskStatus.CANCELLED
    assert domain.story(after=3) == ["a in_progress", "0 Cancellation requested", "a failed", "CANCELLED"]
    assert domain.events()[-2].data["error"] == CANCELLED
    row = domain.task(claim.task_id)
    assert (row.result, row.error, row.progress) == (None, None, 0.0)
    assert domain.outbox() == {}


@pytest.mark.parametrize("proposal", ["failed", "lost"])
def test_a_cancel_that_came_first_wins_over_a_signal(domain: Domain, proposal: str) -> None:
    claim = domain.running()
    domain.ledger.request_cancel(claim.task_id)
    getattr(domain.proposals, proposal)(claim.task_id, 1, LOST)
    assert domain.story(after=3) == ["0 Cancellation requested", "CANCELLED"]


@pytest.mark.parametrize("end", ["complete", "fail", "retry_later"])
def test_a_cancel_racing_an_end_leaves_one_outcome_for_both_callers(domain: Domain, end: str) -> None:
    for _ in range(5):
        claim = domain.running()
        outcome: dict[str, str] = {}
        barrier = threading.Barrier(2)

        def cancel(task_id: str, barrier: threading.Barrier, outcome: dict[str, str]) -> None:
            barrier.wait()
            try:
                outcome["cancel"] = domain.ledger.request_cancel(task_id)[0].status
            except Conflict:
                outcome["cancel"] = "refused"

        thread = threading.Thread(target=cancel, args=(claim.task_id, barrier, outcome))
        thread.start()
        barrier.wait()
        became = getattr(domain.runs, end)(claim, *ENDS[end])
        thread.join()
        status = domain.task(claim.task_id).status
        if outcome["cancel"] == "refused":
            assert became == status != "CANCELLED"
        else:
            # Accepted: before the end (which then became CANCELLED), or after it, when it was to be retried.
            assert status == "CANCELLED"
            assert became == ("CANCELLED" if outcome["cancel"] == "IN_PROGRESS" else "RETRYING")
        domain.events()


def test_a_cancel_racing_a_claim_leaves_a_cancelled_task(domain: Domain) -> None:
    for _ in range(5):
        task_id = domain.queued()
        barrier = threading.Barrier(2)

        def cancel(task_id: str, barrier: threading.Barrier) -> None:
            barrier.wait()
            domain.ledger.request_cancel(task_id)

        thread = threading.Thread(target=cancel, args=(task_id, barrier))
        thread.start()
        barrier.wait()
        claim = domain.runs.claim(task_id, 1, "worker")
        thread.join()
        if claim is not None:
            with pytest.raises((CancelRequested, LeaseLost)):
                domain.runs.start_step(claim, "a", "Agent", "work")
            domain.runs.cancelled(claim)
        assert domain.task(task_id).status == "CANCELLED"
        domain.events()


def test_a_cancelled_task_that_is_retried_is_not_cancelled_again(domain: Domain) -> None:
    claim = domain.running()
    domain.ledger.request_cancel(claim.task_id)
    domain.runs.cancelled(claim)
    domain.ledger.retry(claim.task_id)
    claim = domain.claim(claim.task_id, 2)
    assert not domain.runs.heartbeat(claim, 0.0, "").cancel_requested
    domain.runs.complete(claim, None)
    assert domain.story(after=5) == ["RETRYING", "QUEUED", "IN_PROGRESS 0", "COMPLETED"]


def test_a_retried_task_can_be_cancelled_again_before_and_during_its_run(domain: Domain) -> None:
    task_id = domain.submit()
    domain.ledger.request_cancel(task_id)
    domain.ledger.retry(task_id)
    domain.ledger.request_cancel(task_id)
    domain.ledger.retry(task_id)
    claim = domain.claim(task_id, 1)
    domain.ledger.request_cancel(task_id)
    domain.runs.cancelled(claim)
    domain.ledger.retry(task_id)
    domain.ledger.request_cancel(task_id)
    assert domain.story() == [
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
