"""What callers, workers and sweeps do to the tasks of two instances, for `test_ledger_machine`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from swallowtail.app.core.errors import CancelRequested, Conflict, InvalidInput, LeaseLost
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.states import CLAIMABLE, RETRYABLE, TaskStatus
from tests.core.domain import ERROR, LOST, Domain, new_task

REFUSALS = (Conflict, LeaseLost, CancelRequested, InvalidInput)


class LedgerBench:
    """A domain with the tasks and claims that were made there."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.tasks: list[str] = []
        self.claims: list[Claim] = []
        #: Percent and message of heartbeats since the last event of each task.
        self.live: dict[str, tuple[float, str]] = {}
        self.breaks = ""

    def act(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call something that the ledger may refuse; commits break as `fault` has chosen. A refusal changes nothing."""
        announced = len(self.domain.announced)
        breaks, self.breaks = self.breaks, ""
        try:
            with patch.object(Connection, "commit", _breaking(breaks)):
                outcome = work(*arguments, **named)
        except REFUSALS:
            assert len(self.domain.announced) == announced, "a refused act sent an event"
            return None
        self._forget_live(self.domain.announced[announced:])
        return outcome

    def _forget_live(self, events: list[EventRecord]) -> None:
        for event in events:
            if event.type == "task_update":
                self.live.pop(event.task_id, None)

    def pick_task(self, pick: int) -> str:
        """Return the id of a task."""
        return self.tasks[-1 - pick % len(self.tasks)]

    def pick_claim(self, pick: int) -> Claim:
        """Return a claim: mostly a live one, which is made if there is none; otherwise any claim."""
        if pick % 8 == 7:
            return self.claims[-1 - pick // 8 % len(self.claims)]
        live = [claim for claim in self.claims if self.domain.task(claim.task_id).token == claim.token]
        if not live:
            self.submit("demo", None, starts=True)
            return self.claims[-1]
        return live[-1 - pick // 8 % len(live)]

    def fault(self, kind: str) -> None:
        """Break the next commit."""
        self.breaks = kind

    def submit(self, instance: str, key: str | None, starts: bool) -> None:
        """Submit a task, and claim it if it `starts`."""
        task, _, created = self.act(self.domain.ledger.submit, new_task(instance, idempotency_key=key))
        if created:
            self.tasks.append(task.id)
        if starts:
            self.start(task.id, 0)

    def start(self, task: str, late: int) -> None:
        """Claim a task for its next attempt, or for an earlier one."""
        row = self.domain.task(task)
        claim = self.act(self.domain.runs.claim, task, row.attempt + 1 - late, "worker")
        claimable = row.status in CLAIMABLE and not late
        if claim is None:
            assert not claimable or self.domain.task(task).status == TaskStatus.EXPIRED
        else:
            assert claimable
            self.claims.append(claim)


class RunActs(LedgerBench):
    """What a run does."""

    def run(self, pick: int, acts: list[tuple[Any, ...]]) -> None:
        """Do several things for one claim, which may be stale, in any order."""
        claim = self.pick_claim(pick)
        for name, *arguments in acts:
            getattr(self, name)(claim, *arguments)

    def heartbeat(self, claim: Claim, percent: float | None, message: str) -> None:
        """Send a heartbeat."""
        row = self.domain.task(claim.task_id)
        state = self.act(self.domain.runs.heartbeat, claim, percent or 0.0, message)
        assert state.alive == (row.token == claim.token)
        if state.alive:
            assert state.cancel_requested == (row.cancel_requested_at is not None)
            percent = max(row.progress, min(percent or 0.0, 100.0))
            self.live[claim.task_id] = (percent, message or row.message)

    def start_step(self, claim: Claim, key: str) -> None:
        """Start a step."""
        self.act(self.domain.runs.start_step, claim, key, "Agent", "work")

    def finish_step(self, claim: Claim, key: str, output: Any, percent: float | None, has_message: bool) -> None:
        """Finish a step."""
        message = "done" if has_message else None
        self.act(self.domain.runs.finish_step, claim, key, output, progress=percent, message=message)

    def perform(self, claim: Claim, key: str, output: Any, percent: float | None, has_message: bool) -> None:
        """Start and finish a step."""
        self.start_step(claim, key)
        self.finish_step(claim, key, output, percent, has_message)

    def skip_step(self, claim: Claim, key: str) -> None:
        """Skip a step."""
        self.act(self.domain.runs.skip_step, claim, key, "Agent", "work", "not needed")

    def fail_step(self, claim: Claim, key: str) -> None:
        """Fail a step."""
        self.act(self.domain.runs.fail_step, claim, key, ERROR)

    def end(self, pick: int, end: str) -> None:
        """End a run."""
        arguments = {"complete": ({"done": True},), "fail": (ERROR,), "retry_later": (ERROR, 0.0), "cancelled": ()}
        self.act(getattr(self.domain.runs, end), self.pick_claim(pick), *arguments[end])

    def wait(self, pick: int) -> None:
        """Let a run wait, after its open steps have failed."""
        claim = self.pick_claim(pick)
        if self.domain.task(claim.task_id).token != claim.token:
            return
        for step in self.domain.steps(claim.task_id):
            if step.status == "in_progress":
                self.fail_step(claim, step.key)
        if self.domain.task(claim.task_id).cancel_requested_at is None:
            self.act(self.domain.park, claim)


class TaskActs(RunActs):
    """What callers, relays, signals and sweeps do."""

    def relay(self, pick: int, late: bool) -> None:
        """Mark a wake-up as sent."""
        task = self.pick_task(pick)
        self.act(self.domain.ledger.mark_queued, task, self.domain.task(task).attempt + (not late), 60.0)

    def claim(self, pick: int, late: int) -> None:
        """Claim a task."""
        self.start(self.pick_task(pick), late)

    def cancel_or_retry(self, pick: int, from_step: str | None, at_once: bool) -> None:
        """Retry a task that has ended, and cancel any other."""
        task = self.pick_task(pick)
        if self.domain.task(task).status not in RETRYABLE:
            self.act(self.domain.ledger.request_cancel, task)
            return
        self.act(self.domain.ledger.retry, task, from_step)
        if at_once:
            self.start(task, 0)

    def retry(self, pick: int, from_step: str | None) -> None:
        """Retry a task."""
        self.act(self.domain.ledger.retry, self.pick_task(pick), from_step)

    def signal(self, pick: int, signal: str, off: int) -> None:
        """Report something about a run."""
        claim = self.pick_claim(pick)
        error = {"lost": (LOST,), "failed": (ERROR,), "cancelled": ()}[signal]
        self.act(getattr(self.domain.proposals, signal), claim.task_id, claim.attempt + off, *error)

    def sweep(self, pick: int, lapses: bool) -> None:
        """Let a lease lapse, or a task expire, and sweep."""
        if lapses:
            claim = self.pick_claim(pick)
            if self.domain.task(claim.task_id).status == TaskStatus.IN_PROGRESS:
                self.domain.lapse(claim.task_id)
            self.act(self.domain.rt.lease_expiry.run)
        else:
            self.domain.overdue(self.pick_task(pick))
            self.act(self.domain.ledger.expire)


def _breaking(kind: str) -> Callable[[Connection], None]:
    """Return a connection's commit that breaks at the first write, before or after it happens."""
    real = Connection.commit
    left = [kind] if kind else []

    def commit(connection: Connection) -> None:
        broken = left.pop() if left and connection.get_execution_options().get("swallowtail_write") else ""
        if broken != "before":
            real(connection)
        if broken:
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))

    return commit
