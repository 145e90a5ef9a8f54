"""Leases: a run that stops renewing its lease is lost, and its task continues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from swallowtail.app.core.events import now
from swallowtail.app.core.ledger import event_log
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import ERROR, LOST, Domain

NewDomain = Callable[..., Domain]
NEVER_STARTED = (TaskStatus.SUBMITTED, TaskStatus.QUEUED, TaskStatus.EXPIRED)


def test_a_run_with_an_expired_lease_is_lost_once(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    assert domain.rt.lease_expiry.run() == 0
    domain.lapse(claim.task_id)
    assert domain.rt.lease_expiry.run() == 1
    assert domain.rt.lease_expiry.run() == 0
    assert domain.story(after=3) == ["a in_progress", "a failed", "RETRYING"]
    events = domain.events()
    assert [event.data["error"] for event in events[-2:]] == [LOST, LOST]
    assert domain.outbox() == {claim.task_id: (2, 0)}


@pytest.mark.parametrize("write", ["heartbeat", "start_step", "finish_step", "skip_step"])
def test_a_write_extends_the_lease(domain: Domain, write: str) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "open", "Agent", "work")
    domain.lapse(claim.task_id)
    arguments: dict[str, tuple[Any, ...]] = {
        "heartbeat": (0.0, ""),
        "start_step": ("a", "Agent", "work"),
        "finish_step": ("open", 1),
        "skip_step": ("a", "Agent", "work", "why"),
    }
    getattr(domain.runs, write)(claim, *arguments[write])
    assert domain.rt.lease_expiry.run() == 0
    assert domain.task(claim.task_id).status == TaskStatus.IN_PROGRESS


def test_a_heartbeat_between_check_and_report_keeps_the_run(domain: Domain) -> None:
    claim = domain.running()
    domain.lapse(claim.task_id)
    seen = domain.task(claim.task_id).lease_until
    domain.runs.heartbeat(claim, 0.0, "")
    domain.proposals.lost(claim.task_id, 1, LOST, if_still=seen)
    assert domain.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]


@pytest.mark.parametrize("days", [-400, 400])
def test_leases_delays_and_expiries_do_not_depend_on_a_machines_clock(
    domain: Domain, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    def wrong() -> datetime:
        return now() + timedelta(days=days)

    monkeypatch.setattr(event_log, "now", wrong)
    claim = domain.running()
    domain.runs.heartbeat(claim, 1.0, "")
    assert domain.rt.lease_expiry.run() == 0
    domain.runs.retry_later(claim, ERROR, 50.0)
    assert 0.0 < domain.due_in(claim.task_id) <= 50.0
    fresh = domain.submit()
    assert -50.0 < domain.due_in(fresh) <= 0.0
    domain.lapse(domain.claim(fresh).task_id)
    assert domain.rt.lease_expiry.run() == 1


def test_a_sweep_ends_at_most_limit_runs(domain: Domain) -> None:
    for _ in range(3):
        domain.lapse(domain.running().task_id)
    assert [domain.rt.lease_expiry.run(limit=2) for _ in range(3)] == [2, 1, 0]


def test_a_task_that_keeps_killing_its_worker_fails_after_max_losses(new_domain: NewDomain) -> None:
    domain = new_domain(max_losses=2)
    task_id = domain.submit()
    for attempt in (1, 2, 3):
        domain.claim(task_id, attempt)
        domain.proposals.lost(task_id, attempt, LOST)
        domain.proposals.lost(task_id, attempt, LOST)
    assert domain.story() == [
        "SUBMITTED",
        *["QUEUED", "IN_PROGRESS 0", "RETRYING"] * 2,
        "QUEUED",
        "IN_PROGRESS 0",
        "FAILED",
    ]
    assert domain.events()[-1].data["error"] == LOST


def test_without_allowed_losses_the_first_loss_fails_the_task(new_domain: NewDomain) -> None:
    domain = new_domain(max_losses=0)
    claim = domain.running()
    domain.proposals.lost(claim.task_id, 1, LOST)
    assert domain.story(after=3) == ["FAILED"]


@pytest.mark.parametrize("end", ["finish_step", "skip_step"])
def test_a_newly_finished_step_forgives_earlier_losses(new_domain: NewDomain, end: str) -> None:
    domain = new_domain(max_losses=1)
    task_id = domain.submit()
    for attempt in range(1, 5):
        claim = domain.claim(task_id, attempt)
        if end == "skip_step":
            domain.runs.skip_step(claim, f"s{attempt}", "Agent", "work", "why")
        else:
            domain.perform(claim, f"s{attempt}")
        domain.proposals.lost(task_id, attempt, LOST)
    assert domain.task(task_id).status == TaskStatus.RETRYING


def test_a_started_step_forgives_nothing(new_domain: NewDomain) -> None:
    domain = new_domain(max_losses=1)
    task_id = domain.submit()
    for attempt in (1, 2):
        domain.runs.start_step(domain.claim(task_id, attempt), "a", "Agent", "work")
        domain.proposals.lost(task_id, attempt, LOST)
    assert domain.task(task_id).status == TaskStatus.FAILED


def test_the_first_loss_has_no_pause_and_each_further_one_a_longer_pause(new_domain: NewDomain) -> None:
    domain = new_domain(max_losses=9, backoff_base=100.0, backoff_max=1000.0)
    task_id = domain.submit()
    pauses = []
    for attempt in range(1, 6):
        domain.claim(task_id, attempt)
        domain.proposals.lost(task_id, attempt, LOST)
        pauses.append(domain.due_in(task_id))
    for pause, most in zip(pauses, (0.0, 400.0, 800.0, 1000.0, 1000.0), strict=True):
        assert most - 60.0 < pause <= most


def test_a_lost_run_that_was_to_be_cancelled_is_cancelled(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.ledger.request_cancel(claim.task_id)
    domain.lapse(claim.task_id)
    assert domain.rt.lease_expiry.run() == 1
    assert domain.story(after=3) == ["a in_progress", "0 Cancellation requested", "a failed", "CANCELLED"]
    assert domain.events()[-2].data["error"] == LOST


@pytest.mark.parametrize("status", [TaskStatus.SUBMITTED, TaskStatus.QUEUED])
def test_an_unclaimed_task_expires_once(domain: Domain, status: TaskStatus) -> None:
    task_id = domain.bring_to(status)
    story = domain.story()
    assert domain.ledger.expire() == 0
    domain.overdue(task_id)
    assert domain.ledger.expire() == 1
    assert domain.ledger.expire() == 0
    assert domain.story(after=len(story)) == ["EXPIRED"]
    assert domain.events()[-1].data["message"] == "Expired before a worker took it"
    assert domain.outbox() == {}


@pytest.mark.parametrize("status", [status for status in TaskStatus if status not in NEVER_STARTED])
def test_a_started_or_ended_task_does_not_expire(domain: Domain, status: TaskStatus) -> None:
    domain.overdue(domain.bring_to(status))
    story = domain.story()
    assert domain.ledger.expire() == 0
    assert domain.story() == story
