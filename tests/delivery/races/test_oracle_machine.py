"""`snapshot(a) + events(a+1 … b) = snapshot(b)`, for any changes in any order.

Hypothesis writes, rolls back, prunes and begins new epochs, drops and stalls clients, restarts the hub and Redis. In
the end, and now and then before it, what each client shows by the client's rule is what a newcomer is shown.
Real SQLite, real Redis, the real hub; only the sockets are lists.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test

from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.delivery.clients.cursor import Cursor
from swallowtail.app.delivery.log.database_reader import DatabaseReader, Page
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.races.delivery_machine import DeliveryMachine, Readers
from tests.delivery.races.faulty_deliveries import FixedReader, silent_skips
from tests.harness.deployment import Deployment
from tests.harness.servers import RedisBinary
from tests.harness.waiting import GaveUp

pytestmark = [pytest.mark.service, pytest.mark.long]


@pytest.fixture(scope="module")
def deployment(redis_binary: RedisBinary) -> Iterator[Deployment]:
    fields = {"head_check": 0.05, "head_interval": 0.2, "ring_events": 20, "client_backlog": 16, "replay_limit": 200}
    with Deployment(env=fields, redis_binary=redis_binary) as opened:
        yield opened


#: A broken delivery has to be caught; the smallest example does not matter.
WITHOUT_SHRINKING = (Phase.explicit, Phase.generate)


def play(
    machine: type[DeliveryMachine],
    deployment: Deployment,
    examples: int,
    seeded: bool,
    phases: Sequence[Phase] = tuple(Phase),
) -> None:
    class Machine(machine):  # type: ignore[misc,valid-type] # a class for each run, with its deployment
        pass

    Machine.deployment = deployment
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=seeded,
            phases=phases,
            report_multiple_bugs=False,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def assert_caught(machine: type[DeliveryMachine], deployment: Deployment, examples: int) -> None:
    """Assert that a fault is caught. Examples in which it comes at another moment when repeated are generated anew."""
    for seeded in (True, False, False):
        try:
            with pytest.raises((AssertionError, GaveUp, BaseExceptionGroup)):
                play(machine, deployment, examples, seeded, WITHOUT_SHRINKING)
        except FlakyStrategyDefinition:
            continue
        return
    pytest.fail("the fault came at another moment in each run")


def test_every_client_shows_the_state_of_the_log(deployment: Deployment) -> None:
    play(DeliveryMachine, deployment, 25, bool(os.environ.get("CI")))


class RepeatingReader(DatabaseReader):
    """Resumes one event too late: the classical `≥` for `>`."""

    def read_page(self, instance_id: str, after: int) -> Page:
        return super().read_page(instance_id, after + 1 if after else after)


class StaleSnapshotReader(DatabaseReader):
    """Reads the head and the snapshot at two moments: the snapshot is always the earlier one."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._before: Any = None

    def read_start(self, instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        start = super().read_start(instance_id, since, view)
        if start.snapshot is None:
            return start
        before, self._before = self._before or start.snapshot, start.snapshot
        return replace(start, snapshot=before)


@pytest.mark.parametrize("reader", [StaleSnapshotReader, FixedReader, RepeatingReader])
def test_control_a_broken_reader_is_caught(deployment: Deployment, reader: Readers) -> None:
    class Broken(DeliveryMachine):
        patience = 2.0

    Broken.reader = reader
    assert_caught(Broken, deployment, 100)


def test_control_no_reset_for_pruned_events_is_caught(deployment: Deployment) -> None:
    class Broken(DeliveryMachine):
        patience = 2.0

    with silent_skips():
        assert_caught(Broken, deployment, 200)


def test_control_a_cursor_that_skips_is_caught(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    collect = Cursor.collect

    def skip(cursor: Cursor, entries: Any, limit: int) -> Any:
        frames = collect(cursor, entries, limit)
        return frames[:-1] if len(frames) > 5 else frames

    monkeypatch.setattr(Cursor, "collect", skip)
    assert_caught(DeliveryMachine, deployment, 25)
