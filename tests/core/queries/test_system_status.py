"""The state of the deployment: open tasks are read at each request, ended tasks were counted as they ended."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import insert, text, update

from swallowtail.app.core.coordination.worker_registry import announce, retire
from swallowtail.app.core.database.connection_budget import forget_pool
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.events import now
from swallowtail.app.core.ledger.metrics import MOVES, STEP_RETRIES, STEP_SECONDS
from swallowtail.app.core.queries.system_status import (
    SystemStatus,
    SystemStatusCollector,
    count_open,
    read_system_status,
)
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Outbox
from tests.core.domain import ERROR, Domain


def _look(domain: Domain, most: int = 100) -> SystemStatus:
    with domain.db.read() as session:
        return read_system_status(session, most)


def _count(domain: Domain, most: int = 100) -> dict[str, int]:
    with domain.db.read() as session:
        return count_open(session, most)


def _samples(domain: Domain) -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for metric in SystemStatusCollector(domain.rt.db, domain.rt.settings, lambda: domain.rt.relay.depth).collect()
        for sample in metric.samples
    }


def _rename(domain: Domain, table: str, name: str) -> None:
    with domain.db.write() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


def test_open_tasks_are_counted_by_status_and_ended_tasks_are_not(domain: Domain) -> None:
    assert set(_count(domain).values()) == {0}
    domain.submit()
    domain.queued()
    domain.running()
    domain.failed()
    assert {status: count for status, count in _count(domain).items() if count} == {
        "SUBMITTED": 1,
        "QUEUED": 1,
        "IN_PROGRESS": 1,
    }


def test_the_wait_is_that_of_the_first_task_that_no_worker_has_begun(domain: Domain) -> None:
    seen = _look(domain)
    assert (seen.waiting, seen.oldest_wait) == (0, 0.0)
    task_id = domain.queued()
    domain.submit()
    with domain.db.write() as session:
        session.execute(update(Outbox).where(Outbox.task_id == task_id).values(due_at=db_now(-100)))
    seen = _look(domain)
    assert seen.waiting == 2
    assert seen.oldest_wait >= 100
    domain.claim(task_id)
    assert (_look(domain).waiting, _look(domain).oldest_wait < 90) == (1, True)


def test_a_retry_that_is_not_due_yet_does_not_wait(domain: Domain) -> None:
    domain.runs.retry_later(domain.running(), ERROR, 1000.0)
    assert _look(domain).waiting == 0


def test_a_retry_waits_from_when_it_is_due_and_not_from_when_it_was_asked_for(domain: Domain) -> None:
    claim = domain.running()
    domain.runs.retry_later(claim, ERROR, 1000.0)
    with domain.db.write() as session:
        session.execute(update(Outbox).values(created_at=db_now(-1000), available_at=db_now(-1), due_at=db_now(-1)))
    seen = _look(domain)
    assert seen.waiting == 1
    assert 1 <= seen.oldest_wait < 500


def test_a_message_that_was_sent_again_or_returned_waits_since_it_was_first_due(domain: Domain) -> None:
    task_id = domain.queued()
    with domain.db.write() as session:
        session.execute(update(Outbox).values(due_at=db_now(-100)))
    domain.ledger.mark_queued(task_id, 1, 1000.0)
    domain.proposals.discarded(task_id, 1)
    assert _look(domain).waiting == 1
    assert _look(domain).oldest_wait >= 100


def test_no_more_is_counted_than_was_asked_for(domain: Domain) -> None:
    for _ in range(5):
        domain.submit()
    assert (_count(domain, 3)["SUBMITTED"], _look(domain, 3).waiting) == (3, 3)
    assert (_count(domain, 5)["SUBMITTED"], _look(domain, 5).waiting) == (5, 5)


def test_workers_with_a_recent_registration_are_counted(domain: Domain) -> None:
    assert _look(domain).workers == 0
    announce(domain.db, "one", ["echo"], interval=100)
    announce(domain.db, "two", [], interval=100)
    announce(domain.db, "silent", [], interval=-1)
    assert _look(domain).workers == 2
    retire(domain.db, "two")
    assert _look(domain).workers == 1


def test_the_lag_of_beat_is_that_of_the_first_undecided_slot(domain: Domain) -> None:
    row = {"id": "s", "instance_id": "demo", "name": "S", "kind": "k", "input": {}, "timing": "once"}
    with domain.db.write() as session:
        session.execute(insert(Schedule).values(**row, created_at=now(), paused=False, next_slot_at=db_now(-50)))
    assert _look(domain).beat_lag >= 50
    with domain.db.write() as session:
        session.execute(text("UPDATE schedule SET paused = true"))
    assert _look(domain).beat_lag == 0.0


def test_unreadable_figures_are_missing_in_the_metrics(domain: Domain) -> None:
    domain.submit()
    samples = _samples(domain)
    assert (samples["swallowtail_database_readable"], samples["swallowtail_tasksSUBMITTED"]) == (1, 1)
    assert "swallowtail_queue_depth" not in samples
    domain.rt.relay.depth = 7
    assert _samples(domain)["swallowtail_queue_depth"] == 7
    # Other tests use this database on PostgreSQL after this one.
    _rename(domain, "schedule", "gone")
    try:
        assert _samples(domain)["swallowtail_database_readable"] == 0
    finally:
        _rename(domain, "gone", "schedule")
    assert _samples(domain)["swallowtail_database_readable"] == 1


def test_the_connections_of_this_process_are_counted_as_they_are_taken_and_returned(domain: Domain) -> None:
    def read() -> tuple[float | None, float | None, bool]:
        name = "swallowtail_database_connections"
        values = [REGISTRY.get_sample_value(name, {"state": state}) for state in ("in_use", "idle")]
        return values[0], values[1], (REGISTRY.get_sample_value("swallowtail_database_pool_limit") or 0) > 1

    domain.db.dispose()
    assert read() == (0, 0, True)
    with domain.db.read():
        assert read() == (1, 0, True)
        with domain.db.write():
            assert read() == (2, 0, True)
        assert read() == (1, 1, True)
    assert read() == (0, 2, True)
    forget_pool()
    assert read() == (0, 0, False)


def test_the_broker_is_read_also_while_the_database_is_down(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeper = domain.rt.make_sweeper()

    def fail() -> int:
        raise Unavailable("away")

    monkeypatch.setattr(domain.rt.relay, "_read_depth", lambda: 7)
    monkeypatch.setattr(sweeper, "_send_due", fail)
    with pytest.raises(Unavailable):
        sweeper.sweep()
    assert domain.rt.relay.depth == 7


def test_outcomes_of_tasks_and_steps_are_counted_after_the_commit(domain: Domain) -> None:
    def counted() -> tuple[float, float, float]:
        retries: float = STEP_RETRIES._value.get()
        steps: float = STEP_SECONDS.labels("completed")._sum.get()
        return MOVES.labels("COMPLETED")._value.get(), retries, steps

    before = counted()
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    domain.runs.fail_step(claim, "a", ERROR)
    domain.runs.retry_later(claim, ERROR, 0.0)
    claim = domain.claim(claim.task_id, 2)
    domain.perform(claim, "a")
    domain.runs.complete(claim, {})
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    assert after[2] >= before[2]


def test_the_broker_is_asked_now_and_then_only(domain: Domain) -> None:
    asked: list[int] = []
    relay = domain.rt.relay
    relay._read_depth = lambda: asked.append(1) or 3  # type: ignore[func-returns-value, method-assign]
    for _ in range(5):
        relay.update_depth()
    assert (len(asked), relay.depth) == (1, 3)
