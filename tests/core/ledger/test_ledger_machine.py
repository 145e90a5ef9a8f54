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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from swallowtail.app.core.errors import CancelRequested, Conflict, InvalidInput, LeaseLost
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.runs import Claim
from swallowtail.app.core.states import CLAIMABLE, RETRYABLE, TaskStatus
from tests.core.domain import ERROR, LOST, Domain, new_task
from tests.core.log_oracle import check, fold
from tests.harness.settings import make_settings

KEYS = st.sampled_from(["a", "b", "c"])
PERCENT = st.none() | st.sampled_from([0.0, 12.5, 50.0, 99.0, 100.0, 250.0, -1.0])
OUTPUTS: st.SearchStrategy[Any] = st.sampled_from([None, 1, "x", {"a": []}])
PICKS = st.integers(0, 63)
RUN_ACTS = st.one_of(
    st.tuples(st.just("perform"), KEYS, OUTPUTS, PERCENT, st.booleans()),
    st.tuples(st.just("perform"), KEYS, OUTPUTS, PERCENT, st.booleans()),
    st.tuples(st.just("start_step"), KEYS),
    st.tuples(st.just("finish_step"), KEYS, OUTPUTS, PERCENT, st.booleans()),
    st.tuples(st.just("fail_step"), KEYS),
    st.tuples(st.just("skip_step"), KEYS),
    st.tuples(st.just("heartbeat"), PERCENT, st.sampled_from(["", "on it"])),
)
RUN = st.tuples(st.just("run"), PICKS, st.lists(RUN_ACTS, min_size=1, max_size=6))
END = st.sampled_from(["complete", "fail", "retry_later", "retry_later", "cancelled"])
SIGNAL = st.sampled_from(["lost", "failed", "cancelled"])
#: One strategy for all of them: of several rules, Hypothesis would leave most out of each example.
ACTS = st.one_of(
    RUN,
    RUN,
    RUN,
    st.tuples(st.just("submit"), st.sampled_from(["demo", "other"]), st.none() | KEYS, st.booleans()),
    st.tuples(st.just("relay"), PICKS, st.booleans()),
    st.tuples(st.just("claim"), PICKS, st.sampled_from([0, 0, 0, 1])),
    st.tuples(st.just("end"), PICKS, END),
    st.tuples(st.just("wait"), PICKS),
    st.tuples(st.just("cancel_or_retry"), PICKS, st.none() | KEYS, st.booleans()),
    st.tuples(st.just("retry"), PICKS, st.none() | KEYS),
    st.tuples(st.just("signal"), PICKS, SIGNAL, st.sampled_from([0, 0, -1, 1])),
    st.tuples(st.just("sweep"), PICKS, st.booleans()),
    st.tuples(st.just("fault"), st.sampled_from(["before", "after"])),
)
INSTANCES = ("demo", "other")
REFUSALS = (Conflict, LeaseLost, CancelRequested, InvalidInput)

_template: Path | None = None


class LedgerMachine(RuleBasedStateMachine):
    """Two instances on one SQLite database, and everybody's acts upon them."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        assert _template is not None
        shutil.copy(_template / "swallowtail.db", self.directory)
        self.domain = Domain(make_settings(var_dir=self.directory, max_losses=1, backoff_base=0.0))
        self.domain.create_instance("Other", "other")
        self.tasks: list[str] = []
        self.claims: list[Claim] = []
        #: What heartbeats left on the rows since the last event that told it.
        self.live: dict[str, tuple[float, str]] = {}
        self.seen: dict[str, list[EventRecord]] = {}
        self.breaks = ""

    def act(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Do something that the ledger may refuse; commits break as `fault` has chosen. A refusal changes nothing."""
        announced = len(self.domain.announced)
        breaks, self.breaks = self.breaks, ""
        try:
            with patch.object(Connection, "commit", _breaking(breaks)):
                outcome = work(*given, **named)
        except REFUSALS:
            assert len(self.domain.announced) == announced, "a refused act told something"
            return None
        self._forget_live(self.domain.announced[announced:])
        return outcome

    def _forget_live(self, events: Any) -> None:
        for event in events:
            if event.type == "task_update":
                self.live.pop(event.task_id, None)

    @initialize()
    def begin(self) -> None:
        self.submit("demo", None, starts=True)

    @rule(act=ACTS)
    def happen(self, act: tuple[Any, ...]) -> None:
        name, *given = act
        getattr(self, name)(*given)

    def pick_task(self, pick: int) -> str:
        return self.tasks[-1 - pick % len(self.tasks)]

    def pick_claim(self, pick: int) -> Claim:
        """Mostly one that holds its task, made for the purpose if there is none; otherwise any that there ever was."""
        if pick % 8 == 7:
            return self.claims[-1 - pick // 8 % len(self.claims)]
        live = [claim for claim in self.claims if self.domain.task(claim.task_id).token == claim.token]
        if not live:
            self.submit("demo", None, starts=True)
            return self.claims[-1]
        return live[-1 - pick // 8 % len(live)]

    def fault(self, kind: str) -> None:
        self.breaks = kind

    def submit(self, instance: str, key: str | None, starts: bool) -> None:
        task, _, created = self.act(self.domain.ledger.submit, new_task(instance, idempotency_key=key))
        if created:
            self.tasks.append(task.id)
        if starts:
            self.take(task.id, 0)

    def relay(self, pick: int, late: bool) -> None:
        task = self.pick_task(pick)
        self.act(self.domain.ledger.mark_queued, task, self.domain.task(task).attempt + (not late), 60.0)

    def claim(self, pick: int, late: int) -> None:
        self.take(self.pick_task(pick), late)

    def take(self, task: str, late: int) -> None:
        row = self.domain.task(task)
        claim = self.act(self.domain.runs.claim, task, row.attempt + 1 - late, "worker")
        claimable = row.status in CLAIMABLE and not late
        if claim is None:
            assert not claimable or self.domain.task(task).status == TaskStatus.EXPIRED
        else:
            assert claimable
            self.claims.append(claim)

    def run(self, pick: int, acts: list[tuple[Any, ...]]) -> None:
        """What a run does, one after the other: it may be a zombie, and it may do things in an odd order."""
        claim = self.pick_claim(pick)
        for name, *given in acts:
            getattr(self, name)(claim, *given)

    def heartbeat(self, claim: Claim, percent: float | None, message: str) -> None:
        row = self.domain.task(claim.task_id)
        beat = self.act(self.domain.runs.heartbeat, claim, percent or 0.0, message)
        assert beat.alive == (row.token == claim.token)
        if beat.alive:
            assert beat.cancel_requested == (row.cancel_requested_at is not None)
            percent = max(row.progress, min(percent or 0.0, 100.0))
            self.live[claim.task_id] = (percent, message or row.message)

    def start_step(self, claim: Claim, key: str) -> None:
        self.act(self.domain.runs.start_step, claim, key, "Agent", "work")

    def finish_step(self, claim: Claim, key: str, output: Any, percent: float | None, said: bool) -> None:
        message = "done" if said else None
        self.act(self.domain.runs.finish_step, claim, key, output, progress=percent, message=message)

    def perform(self, claim: Claim, key: str, output: Any, percent: float | None, said: bool) -> None:
        self.start_step(claim, key)
        self.finish_step(claim, key, output, percent, said)

    def skip_step(self, claim: Claim, key: str) -> None:
        self.act(self.domain.runs.skip_step, claim, key, "Agent", "work", "not needed")

    def fail_step(self, claim: Claim, key: str) -> None:
        self.act(self.domain.runs.fail_step, claim, key, ERROR)

    def end(self, pick: int, end: str) -> None:
        given = {"complete": ({"done": True},), "fail": (ERROR,), "retry_later": (ERROR, 0.0), "cancelled": ()}[end]
        self.act(getattr(self.domain.runs, end), self.pick_claim(pick), *given)

    def wait(self, pick: int) -> None:
        claim = self.pick_claim(pick)
        if self.domain.task(claim.task_id).token != claim.token:
            return
        for step in self.domain.steps(claim.task_id):
            if step.status == "in_progress":
                self.fail_step(claim, step.key)
        if self.domain.task(claim.task_id).cancel_requested_at is None:
            self.act(self.domain.park, claim)

    def cancel_or_retry(self, pick: int, from_step: str | None, at_once: bool) -> None:
        task = self.pick_task(pick)
        if self.domain.task(task).status not in RETRYABLE:
            self.act(self.domain.ledger.request_cancel, task)
            return
        self.act(self.domain.ledger.retry, task, from_step)
        if at_once:
            self.take(task, 0)

    def retry(self, pick: int, from_step: str | None) -> None:
        self.act(self.domain.ledger.retry, self.pick_task(pick), from_step)

    def signal(self, pick: int, signal: str, off: int) -> None:
        claim = self.pick_claim(pick)
        error = {"lost": (LOST,), "failed": (ERROR,), "cancelled": ()}[signal]
        self.act(getattr(self.domain.proposals, signal), claim.task_id, claim.attempt + off, *error)

    def sweep(self, pick: int, lapses: bool) -> None:
        if lapses:
            claim = self.pick_claim(pick)
            if self.domain.task(claim.task_id).status == TaskStatus.IN_PROGRESS:
                self.domain.lapse(claim.task_id)
            self.act(self.domain.rt.reaper.run)
        else:
            self.domain.overdue(self.pick_task(pick))
            self.act(self.domain.ledger.expire)

    @invariant()
    def the_log_is_in_order_and_says_what_the_rows_say(self) -> None:
        for instance in INSTANCES:
            check(self.domain.db, instance, live=self.live)

    @invariant()
    def what_was_told_stays_as_it_was(self) -> None:
        for instance in INSTANCES:
            before, self.seen[instance] = self.seen.get(instance, []), self.domain.log(instance)
            assert self.seen[instance][: len(before)] == before

    @invariant()
    def the_world_was_told_everything_in_order(self) -> None:
        for instance in INSTANCES:
            fold([event for event in self.domain.announced if event.instance_id == instance])
            assert len([e for e in self.domain.announced if e.instance_id == instance]) == self.domain.head(instance)

    def teardown(self) -> None:
        self.domain.close()
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
    max_examples=15,
    stateful_step_count=35,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLedgerMachine.pytestmark = [pytest.mark.long]  # type: ignore[attr-defined] # how pytest marks a class
