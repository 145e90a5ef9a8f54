"""A state machine of one instance: Hypothesis chooses what its writers, its clients and the failures do next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from swallowtail.app.core.errors import CancelRequested, Conflict, LeaseLost
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.services.log_epochs import renew_epoch
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from tests.core.domain import ERROR, LOST
from tests.core.log_oracle import check
from tests.delivery.races.checked_clients import Domain, Viewer
from tests.delivery.races.client_rule import Screen
from tests.delivery.races.log_changes import begin_epoch, note_and_undo, prune
from tests.harness.deployment import Deployment
from tests.journey.event_writer import Author

REFUSALS = (Conflict, LeaseLost, CancelRequested)
MOST_VIEWERS = 6
WHO = st.integers(0, MOST_VIEWERS - 1)
WHICH = st.integers(0, 3)

Readers = type[DatabaseReader]


class WriterMachine(RuleBasedStateMachine):
    """One instance with its writers."""

    deployment: Deployment
    reader: Readers = DatabaseReader

    def __init__(self) -> None:
        super().__init__()
        self.domain = Domain(self.deployment, reader=self.reader)
        self.domain.hub.start()
        self.author = Author(self.deployment)
        self.ledger, self.runs = self.domain.rt.ledger, self.domain.rt.runs
        self.tasks: list[str] = [self.author.submit()]
        self.claims: list[Claim] = []
        self.redis_is_away = False
        self.pruned = False

    def act(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run work that the ledger may refuse."""
        try:
            return work(*args, **kwargs)
        except REFUSALS:
            return None

    @rule()
    def submit(self) -> None:
        self.tasks.append(self.author.submit())

    @rule(which=WHICH)
    def claim(self, which: int) -> None:
        task_id = self.tasks[-1 - which % len(self.tasks)]
        claim = self.act(self.runs.claim, task_id, self.deployment.task(task_id)["attempt"] + 1, "worker")
        if claim is not None:
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(
        which=WHICH, key=st.sampled_from("abc"), percent=st.none() | st.sampled_from([10.0, 60.0]), well=st.booleans()
    )
    def step(self, which: int, key: str, percent: float | None, well: bool) -> None:
        claim = self.claims[-1 - which % len(self.claims)]
        self.act(self.runs.start_step, claim, key, "Agent", "work")
        if well:
            self.act(self.runs.finish_step, claim, key, {"said": key}, progress=percent)
        else:
            self.act(self.runs.fail_step, claim, key, ERROR)

    @precondition(lambda self: self.claims)
    @rule(how=st.sampled_from(["complete", "fail", "lose", "later", "leave open"]))
    def end(self, how: str) -> None:
        claim = self.claims.pop()
        if how == "complete":
            self.act(self.runs.complete, claim, {"done": True})
        elif how == "fail":
            self.act(self.runs.fail, claim, ERROR)
        elif how == "lose":
            self.act(self.domain.rt.proposals.lost, claim.task_id, claim.attempt, LOST)
        elif how == "later":
            self.act(self.runs.retry_later, claim, ERROR, 0.0)

    @rule(which=WHICH, again=st.booleans())
    def cancel_or_retry(self, which: int, again: bool) -> None:
        task_id = self.tasks[-1 - which % len(self.tasks)]
        self.act(self.ledger.retry if again else self.ledger.request_cancel, task_id)

    @rule(count=st.integers(1, 5))
    def write_much(self, count: int) -> None:
        for _ in range(count):
            self.author.play(4)

    @rule()
    def roll_back(self) -> None:
        note_and_undo(self.domain.rt, self.tasks[0], 3)

    @rule(keep=st.sampled_from([0, 1, 10, 40]))
    def prune(self, keep: int) -> None:
        prune(self.domain.rt, self.author.instance_id, keep)
        self.pruned = True

    @rule(empty=st.booleans())
    def begin_epoch(self, empty: bool) -> None:
        if empty:
            begin_epoch(self.domain.rt, self.author.instance_id)
            self.pruned = True
        else:
            renew_epoch(self.domain.rt, self.author.instance_id)


class DeliveryMachine(WriterMachine):
    """One instance with its writers, its clients and their failures."""

    patience = 60.0

    @rule(who=WHO)
    def connect(self, who: int) -> None:
        if who >= len(self.domain.viewers) and len(self.domain.viewers) < MOST_VIEWERS:
            self.domain.viewer(f"v{len(self.domain.viewers)}", self.author.instance_id)
        self.viewer(who).resume()

    @rule(who=WHO)
    def drop(self, who: int) -> None:
        self.viewer(who).drop()

    @rule(who=WHO)
    def stall(self, who: int) -> None:
        if (connection := self.viewer(who).connection) is not None:
            self.domain.transport.stall(connection)

    @rule(who=WHO, keep=st.sampled_from([0, 5, 30]))
    def fall_behind(self, who: int, keep: int) -> None:
        """Write and prune more than a stalled client can be sent."""
        viewer = self.viewer(who)
        viewer.resume()
        self.stall(who)
        self.write_much(4)
        self.prune(keep)

    @rule(who=WHO)
    def subscribe_again(self, who: int) -> None:
        viewer = self.viewer(who)
        if viewer.connection is not None and viewer.position is not None:
            self.act(viewer.subscribe, viewer.position)

    @rule(who=WHO)
    def take_again(self, who: int) -> None:
        if (connection := self.viewer(who).connection) is not None:
            self.domain.transport.drain(connection)

    @rule(who=WHO)
    def receive(self, who: int) -> None:
        self.viewer(who).work()

    def viewer(self, who: int) -> Viewer:
        if not self.domain.viewers:
            self.domain.viewer("v0", self.author.instance_id)
        return self.domain.viewers[who % len(self.domain.viewers)]

    @rule()
    def restart_hub(self) -> None:
        self.domain.restart_hub()

    @rule()
    def restart_redis(self) -> None:
        self.deployment.redis.restart()
        self.redis_is_away = False

    @precondition(lambda self: not self.redis_is_away)
    @rule()
    def lose_redis(self) -> None:
        self.deployment.redis.kill()
        self.redis_is_away = True

    @rule(who=WHO)
    def compare(self, who: int) -> None:
        """Check the state of one client in the middle of the run."""
        self.settle([self.viewer(who)])

    def settle(self, viewers: list[Viewer]) -> None:
        for viewer in viewers:
            if viewer.connection is not None:
                self.domain.transport.drain(viewer.connection)
            viewer.resume()
        self.domain.settle(*viewers, timeout=self.patience)
        now = Screen(self.domain.snapshot(self.author.instance_id)).tasks
        for viewer in viewers:
            assert viewer.faults() == []
            assert viewer.screen.tasks == now, f"{viewer.name} shows something else"

    def teardown(self) -> None:
        try:
            if self.redis_is_away:
                self.deployment.redis.start()
            self.settle(self.domain.viewers)
            if not self.pruned:
                check(self.domain.rt.db, self.author.instance_id)
        finally:
            self.domain.__exit__()
            if not self.deployment.redis.is_running:
                self.deployment.redis.start()
