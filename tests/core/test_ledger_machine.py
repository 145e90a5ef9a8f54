"""Whatever is done to tasks in whatever order, the log stays in order and says the same as the rows.

Hypothesis picks acts of everybody who may touch a task (submitters, relays, several workers with live and stale claims,
signals, sweeps, people who cancel and retry), breaks commits now and then, and shows the log to the oracle after each.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from app.core.errors import CancelRequested, Conflict, InvalidInput, LeaseLost
from app.core.events import EventRecord
from app.core.models import Task
from app.core.runs import Claim
from app.core.states import TaskStatus
from tests.core.oracle import check, fold
from tests.core.stage import ERROR, LOST, Stage, make_settings, new_task

KEYS = st.sampled_from(["a", "b", "c"])
PERCENT = st.none() | st.sampled_from([0.0, 12.5, 50.0, 99.0, 100.0, 250.0, -1.0])
INSTANCES = ("demo", "other")
REFUSALS = (Conflict, LeaseLost, CancelRequested, InvalidInput)

_template: Path | None = None


class LedgerMachine(RuleBasedStateMachine):
    """Two instances on one SQLite database, and everybody's acts upon them."""

    tasks = Bundle("tasks")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        assert _template is not None
        shutil.copy(_template / "swallowtail.db", self.directory)
        self.stage = Stage(make_settings(var_dir=self.directory, max_losses=1, backoff_base=0.0))
        self.stage.ledger.create_instance("Other", "other")
        #: What heartbeats left on the rows since the last event that told it.
        self.live: dict[str, tuple[float, str]] = {}
        self.seen: dict[str, list[EventRecord]] = {}
        self.breaks = ""

    def act(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Do something that the ledger may refuse; commits break as `fault` has chosen. A refusal changes nothing."""
        announced = len(self.stage.announced)
        breaks, self.breaks = self.breaks, ""
        try:
            with patch.object(Connection, "commit", _breaking(breaks)):
                outcome = work(*given, **named)
        except REFUSALS:
            if work is not self.stage.perform:
                assert len(self.stage.announced) == announced, "a refused act told something"
            outcome = None
        self._forget_live(self.stage.announced[announced:])
        return outcome

    def _forget_live(self, events: Any) -> None:
        for event in events:
            if event.type == "task_update":
                self.live.pop(event.task_id, None)

    @rule(kind=st.sampled_from(["before", "after"]))
    def fault(self, kind: str) -> None:
        self.breaks = kind

    @rule(target=tasks, instance=st.sampled_from(INSTANCES), key=st.none() | KEYS)
    def submit(self, instance: str, key: str | None) -> Any:
        task, _, created = self.act(self.stage.ledger.submit, new_task(instance, idempotency_key=key))
        return task.id if created else multiple()

    @rule(task=tasks, late=st.booleans())
    def relay(self, task: str, late: bool) -> None:
        attempt = self.stage.task(task).attempt + (not late)
        self.act(self.stage.ledger.mark_queued, task, attempt, 60.0)

    @rule(target=claims, task=tasks, late=st.sampled_from([0, 0, 0, 1]))
    def claim(self, task: str, late: int) -> Any:
        row = self.stage.task(task)
        claim = self.act(self.stage.runs.claim, task, row.attempt + 1 - late, "worker")
        claimable = row.status in ("SUBMITTED", "QUEUED", "RETRYING", "WAITING") and not late
        if claim is None:
            assert not claimable or self.stage.task(task).status == TaskStatus.EXPIRED
            return multiple()
        assert claimable
        return claim

    @rule(target=claims, instance=st.sampled_from(INSTANCES))
    def begin(self, instance: str) -> Any:
        return self.act(self.stage.running, instance_id=instance)

    @rule(pick=st.integers(0, 9), keys=st.lists(KEYS, min_size=1, max_size=3, unique=True), percent=PERCENT)
    def perform(self, pick: int, keys: list[str], percent: float | None) -> None:
        with self.stage.db.read() as session:
            running = session.scalars(select(Task).where(Task.token.is_not(None)).order_by(Task.last_seq)).all()
        if running:
            row = running[pick % len(running)]
            claim = Claim(row.id, row.instance_id, row.kind, {}, row.attempt, row.token or "", 0.0, 0)
            for key in keys:
                self.act(self.stage.perform, claim, key, key, progress=percent)

    @rule(claim=claims, percent=PERCENT, message=st.sampled_from(["", "on it"]))
    def heartbeat(self, claim: Claim, percent: float | None, message: str) -> None:
        row = self.stage.task(claim.task_id)
        beat = self.act(self.stage.runs.heartbeat, claim, percent or 0.0, message)
        assert beat.alive == (row.token == claim.token)
        if beat.alive:
            assert beat.cancel_requested == (row.cancel_requested_at is not None)
            percent = max(row.progress, min(percent or 0.0, 100.0))
            self.live[claim.task_id] = (percent, message or row.message)

    @rule(claim=claims, key=KEYS)
    def start_step(self, claim: Claim, key: str) -> None:
        self.act(self.stage.runs.start_step, claim, key, "Agent", "work")

    @rule(
        claim=claims, key=KEYS, output=st.sampled_from([None, 1, "x", {"a": []}]), percent=PERCENT, said=st.booleans()
    )
    def finish_step(self, claim: Claim, key: str, output: Any, percent: float | None, said: bool) -> None:
        message = "done" if said else None
        self.act(self.stage.runs.finish_step, claim, key, output, progress=percent, message=message)

    @rule(claim=claims, key=KEYS)
    def skip_step(self, claim: Claim, key: str) -> None:
        self.act(self.stage.runs.skip_step, claim, key, "Agent", "work", "not needed")

    @rule(claim=claims, key=KEYS)
    def fail_step(self, claim: Claim, key: str) -> None:
        self.act(self.stage.runs.fail_step, claim, key, ERROR)

    @rule(claim=claims)
    def complete(self, claim: Claim) -> None:
        self.act(self.stage.runs.complete, claim, {"done": True})

    @rule(claim=claims)
    def fail(self, claim: Claim) -> None:
        self.act(self.stage.runs.fail, claim, ERROR)

    @rule(claim=claims)
    def retry_later(self, claim: Claim) -> None:
        self.act(self.stage.runs.retry_later, claim, ERROR, 0.0)

    @rule(claim=consumes(claims))
    def stop(self, claim: Claim) -> None:
        self.act(self.stage.runs.cancelled, claim)

    @rule(claim=claims)
    def wait(self, claim: Claim) -> None:
        if self.stage.task(claim.task_id).token == claim.token:
            self._close_steps(claim)
            cancelled = self.stage.task(claim.task_id).cancel_requested_at is not None
            if not cancelled:
                self.act(self.stage.park, claim)

    def _close_steps(self, claim: Claim) -> None:
        for step in self.stage.steps(claim.task_id):
            if step.status == "in_progress":
                self.act(self.stage.runs.fail_step, claim, step.key, ERROR)

    @rule(task=tasks)
    def cancel(self, task: str) -> None:
        self.act(self.stage.ledger.request_cancel, task)

    @rule(task=tasks, from_step=st.none() | KEYS)
    def retry(self, task: str, from_step: str | None) -> None:
        self.act(self.stage.ledger.retry, task, from_step)

    @rule(task=tasks, behind=st.sampled_from([0, 0, 1]))
    def worker_lost(self, task: str, behind: int) -> None:
        self.act(self.stage.ledger.propose_lost, task, self.stage.task(task).attempt - behind, LOST)

    @rule(task=tasks, behind=st.sampled_from([0, 1]))
    def hard_limit(self, task: str, behind: int) -> None:
        self.act(self.stage.ledger.propose_failed, task, self.stage.task(task).attempt - behind, ERROR)

    @rule(task=tasks, ahead=st.sampled_from([0, 1]))
    def revoke(self, task: str, ahead: int) -> None:
        self.act(self.stage.ledger.propose_cancelled, task, self.stage.task(task).attempt + ahead)

    @rule(task=tasks)
    def lapse(self, task: str) -> None:
        if self.stage.task(task).status == TaskStatus.IN_PROGRESS:
            self.stage.lapse(task)

    @rule(task=tasks)
    def let_expire(self, task: str) -> None:
        self.stage.overdue(task)

    @rule()
    def sweep(self) -> None:
        self.act(self.stage.ledger.reap)
        self.act(self.stage.ledger.expire)

    @invariant()
    def the_log_is_in_order_and_says_what_the_rows_say(self) -> None:
        for instance in INSTANCES:
            check(self.stage.db, instance, live=self.live)

    @invariant()
    def what_was_told_stays_as_it_was(self) -> None:
        for instance in INSTANCES:
            before, self.seen[instance] = self.seen.get(instance, []), self.stage.log(instance)
            assert self.seen[instance][: len(before)] == before

    @invariant()
    def the_world_was_told_everything_in_order(self) -> None:
        for instance in INSTANCES:
            fold([event for event in self.stage.announced if event.instance_id == instance])
            assert len([e for e in self.stage.announced if e.instance_id == instance]) == self.stage.head(instance)

    def teardown(self) -> None:
        self.stage.close()
        shutil.rmtree(self.directory)


def _breaking(kind: str) -> Callable[[Connection], None]:
    """The commit of a connection that breaks at the first write, before or after it happens."""
    real = Connection.commit
    left = [kind] if kind else []

    def commit(connection: Connection) -> None:
        broken = left.pop() if left and connection.get_execution_options().get("swallowtail_write") else ""
        if broken != "before":
            real(connection)
        if broken:
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))

    return commit


@pytest.fixture(autouse=True)
def _prepare(sqlite_template: Path) -> None:
    global _template
    _template = sqlite_template


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=20,
    stateful_step_count=35,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
