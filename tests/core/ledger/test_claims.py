"""Claims: one worker per attempt, also if a wake-up is repeated, late, or arrives before the relay marks the task."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from swallowtail.app.core.errors import LeaseLost
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.runs import LeaseState
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import ERROR, LOST, Domain


def test_a_claim_holds_all_that_a_run_needs(domain: Domain) -> None:
    task_id = domain.queued(kind="probe", input={"n": 2})
    claim = domain.claim(task_id, worker="w" * 300)
    assert (claim.task_id, claim.instance_id, claim.kind, claim.input) == (task_id, "demo", "probe", {"n": 2})
    assert (claim.attempt, claim.progress, claim.base_seq, claim.saved) == (1, 0.0, 3, {})
    row = domain.task(task_id)
    assert (row.token, row.worker) == (claim.token, "w" * 200)
    assert row.started_at is not None
    assert domain.outbox() == {}


@pytest.mark.parametrize(
    ("queued", "story"),
    [(True, ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]), (False, ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"])],
    ids=["after the relay's mark", "before the relay's mark"],
)
def test_a_message_may_overtake_the_relays_mark(domain: Domain, queued: bool, story: list[str]) -> None:
    task_id = domain.queued() if queued else domain.submit()
    domain.claim(task_id)
    domain.ledger.mark_queued(task_id, 1, 10.0)
    assert domain.story() == story
    assert domain.outbox() == {}


def test_a_retrying_task_is_claimed_for_its_next_attempt(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.retry_later(claim, ERROR, 30.0)
    second = domain.claim(claim.task_id, 2)
    assert second.token != claim.token
    assert [(event.attempt, event.data["status"]) for event in domain.events()] == [
        (0, "SUBMITTED"),
        (0, "QUEUED"),
        (1, "IN_PROGRESS"),
        (1, "RETRYING"),
        (1, "QUEUED"),
        (2, "IN_PROGRESS"),
    ]


def test_a_second_message_for_the_same_attempt_is_ignored(domain: Domain) -> None:
    claim = domain.running()
    assert domain.runs.claim(claim.task_id, 1, "other") is None
    assert domain.runs.heartbeat(claim, 0.0, "") == LeaseState(alive=True, cancel_requested=False)
    assert domain.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]


@pytest.mark.parametrize("attempt", [-1, 0, 2, 3])
def test_a_message_for_another_attempt_is_ignored(domain: Domain, attempt: int) -> None:
    task_id = domain.queued()
    assert domain.runs.claim(task_id, attempt, "worker") is None
    assert domain.story() == ["SUBMITTED", "QUEUED"]


def test_a_message_for_no_task_is_ignored(domain: Domain) -> None:
    assert domain.runs.claim("00000000-0000-4000-8000-000000000000", 1, "worker") is None


@pytest.mark.parametrize("end", ["complete", "fail", "cancelled"])
def test_a_message_for_a_task_that_has_ended_is_ignored(domain: Domain, end: str) -> None:
    claim = domain.running()
    arguments = {"complete": ({},), "fail": (ERROR,), "cancelled": ()}[end]
    getattr(domain.runs, end)(claim, *arguments)
    story = domain.story()
    assert domain.runs.claim(claim.task_id, 1, "worker") is None
    assert domain.runs.claim(claim.task_id, 2, "worker") is None
    assert domain.story() == story


def test_a_message_that_comes_after_the_expiry_ends_the_task(domain: Domain) -> None:
    task_id = domain.queued()
    domain.overdue(task_id)
    assert domain.runs.claim(task_id, 1, "worker") is None
    assert domain.story() == ["SUBMITTED", "QUEUED", "EXPIRED"]
    assert domain.outbox() == {}


def test_an_expiry_does_not_concern_a_task_that_was_started_in_time(domain: Domain) -> None:
    claim = domain.running()
    domain.overdue(claim.task_id)
    domain.runs.retry_later(claim, ERROR, 0.0)
    assert domain.ledger.expire() == 0
    domain.claim(claim.task_id, 2)
    assert domain.story(after=3) == ["RETRYING", "QUEUED", "IN_PROGRESS 0"]


def test_of_many_workers_with_the_same_message_one_gets_the_task(domain: Domain) -> None:
    task_id = domain.submit()
    claims: list[Claim | None] = []
    barrier = threading.Barrier(8)

    def claim() -> None:
        barrier.wait()
        claims.append(domain.runs.claim(task_id, 1, "worker"))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in claims) == 1
    assert domain.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]


def test_a_claim_brings_the_journal_of_earlier_attempts(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", {"x": 1}, progress=25)
    domain.runs.skip_step(claim, "b", "Agent", "work", "not needed")
    domain.runs.start_step(claim, "c", "Agent", "work")
    domain.proposals.lost(claim.task_id, 1, LOST)
    second = domain.claim(claim.task_id, 2)
    assert second.progress == 25.0
    assert {key: (step.status, step.output) for key, step in second.saved.items()} == {
        "a": ("completed", {"x": 1}),
        "b": ("skipped", {"reason": "not needed"}),
    }
    assert second.base_seq == domain.head()


STALE_WRITES: dict[str, Any] = {
    "start_step": ("new", "Agent", "work"),
    "finish_step": ("open", 1),
    "fail_step": ("open", ERROR),
    "skip_step": ("new", "Agent", "work", "why"),
    "complete": ({},),
    "fail": (ERROR,),
    "cancelled": (),
    "retry_later": (ERROR, 0.0),
}


@pytest.mark.parametrize("after", ["lost", "taken over", "ended"])
@pytest.mark.parametrize("write", STALE_WRITES)
def test_a_zombie_can_write_nothing(domain: Domain, write: str, after: str) -> None:
    stale = domain.running()
    domain.runs.start_step(stale, "open", "Agent", "work")
    domain.proposals.lost(stale.task_id, 1, LOST)
    if after != "lost":
        second = domain.claim(stale.task_id, 2)
        if after == "ended":
            domain.runs.complete(second, {"by": "the second"})
    story = domain.story()
    with pytest.raises(LeaseLost):
        getattr(domain.runs, write)(stale, *STALE_WRITES[write])
    assert domain.runs.heartbeat(stale, 99.0, "I live") == LeaseState(alive=False, cancel_requested=False)
    assert domain.story() == story
    assert domain.task(stale.task_id).progress != 99.0


def test_a_forged_token_can_write_nothing(domain: Domain) -> None:
    claim = domain.running()
    forged = Claim(claim.task_id, "demo", "probe", {}, 1, "00000000-0000-4000-8000-000000000000", 0.0, 0)
    with pytest.raises(LeaseLost):
        domain.runs.complete(forged, {})
    assert domain.task(claim.task_id).status == TaskStatus.IN_PROGRESS


@pytest.mark.parametrize("status", TaskStatus)
def test_only_a_task_with_an_outbox_entry_is_marked_as_queued(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    row, story, entries = domain.task(task_id), domain.story(), domain.outbox()
    domain.ledger.mark_queued(task_id, row.attempt + 1, 10.0)
    marked = status in (TaskStatus.SUBMITTED, TaskStatus.RETRYING)
    assert domain.story(after=len(story)) == (["QUEUED"] if marked else [])
    if not marked and status is not TaskStatus.QUEUED:
        assert domain.outbox() == entries


def test_marking_twice_counts_two_messages_and_records_one_event(domain: Domain) -> None:
    task_id = domain.submit()
    domain.ledger.mark_queued(task_id, 1, 20.0)
    domain.ledger.mark_queued(task_id, 1, 40.0)
    assert domain.story() == ["SUBMITTED", "QUEUED"]
    assert domain.outbox() == {task_id: (1, 2)}
    assert 20 < domain.due_in(task_id) <= 40


def test_a_mark_for_an_old_attempt_changes_nothing(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.retry_later(claim, ERROR, 50.0)
    domain.ledger.mark_queued(claim.task_id, 1, 10.0)
    assert domain.story(after=3) == ["RETRYING"]
    assert domain.outbox() == {claim.task_id: (2, 0)}


def test_a_task_that_waits_can_be_claimed(domain: Domain) -> None:
    task_id = domain.bring_to(TaskStatus.WAITING)
    domain.claim(task_id, 2)
    assert domain.story(after=3) == ["WAITING", "QUEUED", "IN_PROGRESS 0"]
