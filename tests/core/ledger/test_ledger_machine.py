"""After any acts on tasks in any order, the log is in order and agrees with the rows.

Hypothesis picks acts of submitters, relays, workers with live and stale claims, signals, sweeps and users, breaks some
commits, and checks the log by the oracle after each.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from swallowtail.app.core.events import EventRecord
from tests.core.domain import Domain
from tests.core.ledger.ledger_acts import TaskActs
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

_template: Path | None = None


class LedgerMachine(RuleBasedStateMachine):
    """Two instances on one SQLite database, and acts on their tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        assert _template is not None
        shutil.copy(_template / "swallowtail.db", self.directory)
        self.domain = Domain(make_settings(var_dir=self.directory, max_losses=1, backoff_base=0.0))
        self.domain.create_instance("Other", "other")
        self.acts = TaskActs(self.domain)
        self.seen: dict[str, list[EventRecord]] = {}

    @initialize()
    def begin(self) -> None:
        self.acts.submit("demo", None, starts=True)

    @rule(act=ACTS)
    def happen(self, act: tuple[Any, ...]) -> None:
        name, *arguments = act
        getattr(self.acts, name)(*arguments)

    @invariant()
    def the_log_is_in_order_and_agrees_with_the_rows(self) -> None:
        for instance in INSTANCES:
            check(self.domain.db, instance, live=self.acts.live)

    @invariant()
    def stored_events_do_not_change(self) -> None:
        for instance in INSTANCES:
            before, self.seen[instance] = self.seen.get(instance, []), self.domain.log(instance)
            assert self.seen[instance][: len(before)] == before

    @invariant()
    def every_event_was_sent_in_order(self) -> None:
        for instance in INSTANCES:
            fold([event for event in self.domain.announced if event.instance_id == instance])
            assert len([e for e in self.domain.announced if e.instance_id == instance]) == self.domain.head(instance)

    def teardown(self) -> None:
        self.domain.close()
        shutil.rmtree(self.directory)


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
