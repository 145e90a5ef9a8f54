"""Leases and losses: a run that falls silent is found, and its task goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core import log
from app.core.events import now
from app.core.states import TaskStatus
from tests.core.stage import ERROR, LOST, Stage

NewStage = Callable[..., Stage]
NEVER_STARTED = (TaskStatus.SUBMITTED, TaskStatus.QUEUED, TaskStatus.EXPIRED)


def test_a_run_whose_lease_lapsed_is_reaped_once(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    assert stage.rt.reaper.run() == 0
    stage.lapse(claim.task_id)
    assert stage.rt.reaper.run() == 1
    assert stage.rt.reaper.run() == 0
    assert stage.story(after=3) == ["a in_progress", "a failed", "RETRYING"]
    events = stage.events()
    assert [event.data["error"] for event in events[-2:]] == [LOST, LOST]
    assert stage.wishes() == {claim.task_id: (2, 0)}


@pytest.mark.parametrize("write", ["heartbeat", "start_step", "finish_step", "skip_step"])
def test_a_write_extends_the_lease(stage: Stage, write: str) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "open", "Agent", "work")
    stage.lapse(claim.task_id)
    given: dict[str, tuple[Any, ...]] = {
        "heartbeat": (0.0, ""),
        "start_step": ("a", "Agent", "work"),
        "finish_step": ("open", 1),
        "skip_step": ("a", "Agent", "work", "why"),
    }
    getattr(stage.runs, write)(claim, *given[write])
    assert stage.rt.reaper.run() == 0
    assert stage.task(claim.task_id).status == TaskStatus.IN_PROGRESS


def test_a_heartbeat_between_the_look_and_the_reaping_saves_the_run(stage: Stage) -> None:
    claim = stage.running()
    stage.lapse(claim.task_id)
    seen = stage.task(claim.task_id).lease_until
    stage.runs.heartbeat(claim, 0.0, "")
    stage.ledger.propose_lost(claim.task_id, 1, LOST, if_still=seen)
    assert stage.story() == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]


@pytest.mark.parametrize("days", [-400, 400])
def test_leases_delays_and_expiries_do_not_depend_on_a_machines_clock(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    def wrong() -> datetime:
        return now() + timedelta(days=days)

    monkeypatch.setattr(log, "now", wrong)
    claim = stage.running()
    stage.runs.heartbeat(claim, 1.0, "")
    assert stage.rt.reaper.run() == 0
    stage.runs.retry_later(claim, ERROR, 50.0)
    assert 0.0 < stage.due_in(claim.task_id) <= 50.0
    fresh = stage.submit()
    assert -50.0 < stage.due_in(fresh) <= 0.0
    stage.lapse(stage.claim(fresh).task_id)
    assert stage.rt.reaper.run() == 1


def test_a_reaper_takes_as_many_as_it_is_told(stage: Stage) -> None:
    for _ in range(3):
        stage.lapse(stage.running().task_id)
    assert (stage.rt.reaper.run(limit=2), stage.rt.reaper.run(limit=2), stage.rt.reaper.run(limit=2)) == (2, 1, 0)


def test_a_task_that_keeps_killing_its_worker_fails_after_max_losses(new_stage: NewStage) -> None:
    stage = new_stage(max_losses=2)
    task_id = stage.submit()
    for attempt in (1, 2, 3):
        stage.claim(task_id, attempt)
        stage.ledger.propose_lost(task_id, attempt, LOST)
        stage.ledger.propose_lost(task_id, attempt, LOST)
    assert stage.story() == [
        "SUBMITTED",
        *["QUEUED", "IN_PROGRESS 0", "RETRYING"] * 2,
        "QUEUED",
        "IN_PROGRESS 0",
        "FAILED",
    ]
    assert stage.events()[-1].data["error"] == LOST


def test_no_loss_is_forgiven_when_none_is_allowed(new_stage: NewStage) -> None:
    stage = new_stage(max_losses=0)
    claim = stage.running()
    stage.ledger.propose_lost(claim.task_id, 1, LOST)
    assert stage.story(after=3) == ["FAILED"]


@pytest.mark.parametrize("end", ["finish_step", "skip_step"])
def test_a_newly_finished_step_forgives_earlier_losses(new_stage: NewStage, end: str) -> None:
    stage = new_stage(max_losses=1)
    task_id = stage.submit()
    for attempt in range(1, 5):
        claim = stage.claim(task_id, attempt)
        if end == "skip_step":
            stage.runs.skip_step(claim, f"s{attempt}", "Agent", "work", "why")
        else:
            stage.perform(claim, f"s{attempt}")
        stage.ledger.propose_lost(task_id, attempt, LOST)
    assert stage.task(task_id).status == TaskStatus.RETRYING


def test_a_started_step_forgives_nothing(new_stage: NewStage) -> None:
    stage = new_stage(max_losses=1)
    task_id = stage.submit()
    for attempt in (1, 2):
        stage.runs.start_step(stage.claim(task_id, attempt), "a", "Agent", "work")
        stage.ledger.propose_lost(task_id, attempt, LOST)
    assert stage.task(task_id).status == TaskStatus.FAILED


def test_the_first_loss_costs_no_pause_and_each_further_one_a_longer(new_stage: NewStage) -> None:
    stage = new_stage(max_losses=9, backoff_base=100.0, backoff_max=1000.0)
    task_id = stage.submit()
    pauses = []
    for attempt in range(1, 6):
        stage.claim(task_id, attempt)
        stage.ledger.propose_lost(task_id, attempt, LOST)
        pauses.append(stage.due_in(task_id))
    for pause, most in zip(pauses, (0.0, 400.0, 800.0, 1000.0, 1000.0), strict=True):
        assert most - 60.0 < pause <= most


def test_a_lost_run_that_was_to_be_cancelled_is_cancelled(stage: Stage) -> None:
    claim = stage.running()
    stage.runs.start_step(claim, "a", "Agent", "work")
    stage.ledger.request_cancel(claim.task_id)
    stage.lapse(claim.task_id)
    assert stage.rt.reaper.run() == 1
    assert stage.story(after=3) == ["a in_progress", "0 Cancellation requested", "a failed", "CANCELLED"]
    assert stage.events()[-2].data["error"] == LOST


@pytest.mark.parametrize("status", [TaskStatus.SUBMITTED, TaskStatus.QUEUED])
def test_what_nobody_claims_in_time_expires_once(stage: Stage, status: TaskStatus) -> None:
    task_id = stage.bring_to(status)
    told = stage.story()
    assert stage.ledger.expire() == 0
    stage.overdue(task_id)
    assert stage.ledger.expire() == 1
    assert stage.ledger.expire() == 0
    assert stage.story(after=len(told)) == ["EXPIRED"]
    assert stage.events()[-1].data["message"] == "Expired before a worker took it"
    assert stage.wishes() == {}


@pytest.mark.parametrize("status", [status for status in TaskStatus if status not in NEVER_STARTED])
def test_what_was_started_or_has_ended_does_not_expire(stage: Stage, status: TaskStatus) -> None:
    stage.overdue(stage.bring_to(status))
    told = stage.story()
    assert stage.ledger.expire() == 0
    assert stage.story() == told
