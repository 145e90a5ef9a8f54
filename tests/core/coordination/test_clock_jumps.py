"""Delays survive jumps of the database's clock: a time that is set manually, or a machine that sleeps."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select, update

from swallowtail.app.core.coordination.database_clock import STALE, ClockMonitor
from swallowtail.app.core.coordination.periodic_lock import acquire_periodic_lock
from swallowtail.app.core.coordination.worker_registry import MISSED, announce
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.tables.system import PeriodicLock, Worker
from swallowtail.app.core.tables.tasks import Outbox, Task
from tests.core.coordination.adjustable_clock import AdjustableClock, SteadyClock
from tests.core.domain import ERROR, Domain

HOUR = 3600.0
#: Tolerance for a slow machine in the rest of a delay; far below the jumps of the clock.
ROOM = 30.0


def test_the_clock_of_the_database_can_be_set_by_a_test(domain: Domain, clock: AdjustableClock) -> None:
    with domain.db.read() as session:
        before = session.scalars(select(db_now())).one()
    clock.jump(HOUR)
    with domain.db.read() as session:
        after = session.scalars(select(db_now())).one()
    assert HOUR <= (after - before).total_seconds() < HOUR + ROOM


def test_a_delay_continues_when_the_clock_is_set(domain: Domain, clock: AdjustableClock) -> None:
    one, other = ClockMonitor(domain.db), ClockMonitor(domain.db)
    claim, due = domain.running(), domain.submit()
    domain.runs.retry_later(claim, ERROR, 300.0)
    for jump in (-HOUR, HOUR, -7 * HOUR, 7 * HOUR):
        one.check()
        other.check()
        clock.jump(jump)
        other.check()
        one.check()
        assert 300.0 - ROOM < domain.due_in(claim.task_id) <= 300.0, jump
        assert domain.due_in(due) <= 0.0, jump


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_times_that_are_counted_from_a_moment_stay_right(domain: Domain, clock: AdjustableClock, jump: float) -> None:
    monitor = ClockMonitor(domain.db)
    domain.queued()
    with domain.db.write() as session:
        session.execute(update(Outbox).values(held_since=db_now(-100.0)))
    monitor.check()
    clock.jump(jump)
    monitor.check()
    with domain.db.read() as session:
        sent, held, now = session.execute(select(Outbox.sent_at, Outbox.held_since, db_now())).one()
    assert sent is not None
    assert held is not None
    assert 0.0 <= (now - sent).total_seconds() < ROOM
    assert 100.0 <= (now - held).total_seconds() < 100.0 + ROOM


def test_times_stored_between_a_jump_and_its_detection_are_right(domain: Domain, clock: AdjustableClock) -> None:
    monitor = ClockMonitor(domain.db)
    claim = domain.running()
    monitor.check()
    clock.jump(HOUR)
    due = domain.submit()
    domain.runs.retry_later(claim, ERROR, 300.0)
    monitor.check()
    assert domain.due_in(due) <= 0.0
    assert 300.0 - ROOM < domain.due_in(claim.task_id) <= 300.0


def test_a_clock_that_was_set_back_while_no_process_ran_is_detected_after_a_restart(
    domain: Domain, clock: AdjustableClock
) -> None:
    claim = domain.running()
    ClockMonitor(domain.db).check()
    domain.runs.retry_later(claim, ERROR, 50.0)
    clock.jump(-HOUR)
    ClockMonitor(domain.db).check()
    assert domain.due_in(claim.task_id) <= 50.0 + STALE


def test_nothing_waits_for_a_clock_that_was_set_back_before_its_first_check(
    domain: Domain, clock: AdjustableClock
) -> None:
    clock.jump(HOUR)
    late, held_back, running = domain.running(), domain.queued(), domain.running()
    domain.runs.retry_later(late, ERROR, 50.0)
    with domain.db.write() as session:
        session.execute(update(Outbox).where(Outbox.task_id == held_back).values(held_since=db_now()))
    clock.jump(-HOUR)
    for _ in range(2):
        # The second is another process, which reads what the first has stored.
        ClockMonitor(domain.db).check()
        assert 50.0 - ROOM < domain.due_in(late.task_id) <= 50.0
        assert 60.0 - ROOM < domain.due_in(held_back) <= 60.0
    with domain.db.read() as session:
        lease, now = session.execute(select(Task.lease_until, db_now()).where(Task.id == running.task_id)).one()
        held = session.scalars(select(Outbox.held_since).where(Outbox.task_id == held_back)).one()
    assert lease is not None
    assert held is not None
    assert (lease - now).total_seconds() <= domain.settings.lease_seconds
    assert held <= now


def test_nothing_stays_further_ahead_than_the_longest_delay(domain: Domain) -> None:
    ClockMonitor(domain.db).check()
    late, sent = domain.submit(), domain.queued()
    with domain.db.write() as session:
        session.execute(update(Outbox).values(available_at=db_now(24 * HOUR)))
        session.execute(update(PeriodicLock).values(next_at=db_now(-2 * STALE)))
    monitor = ClockMonitor(domain.db)
    monitor.check()
    assert domain.due_in(late) <= domain.settings.retry_after_max
    assert domain.due_in(sent) <= domain.settings.resend_max + domain.settings.backoff_base


def test_a_worker_that_died_before_the_clock_was_set_back_does_not_count_for_that_long(domain: Domain) -> None:
    announce(domain.db, "dead", ["any"], domain.settings.announce_interval)
    with domain.db.write() as session:
        session.execute(update(Worker).values(good_until=db_now(HOUR)))
    ClockMonitor(domain.db).check()
    with domain.db.read() as session:
        ahead = session.scalars(select(Worker.good_until)).one() - session.scalars(select(db_now())).one()
    assert ahead.total_seconds() <= domain.settings.announce_interval * MISSED


def test_rows_that_are_too_far_ahead_are_searched_without_a_lock_and_in_the_whole_outbox_only_once(
    domain: Domain,
) -> None:
    domain.queued()
    monitor, statements = ClockMonitor(domain.db), []
    event.listen(domain.db.engine, "before_cursor_execute", lambda *args: statements.append(str(args[2])))
    for reads_all in (True, False):
        statements.clear()
        monitor.check()
        about = [statement for statement in statements if "outbox" in statement]
        assert about
        assert all(statement.startswith("SELECT") for statement in about)
        assert any("created_at >" in statement for statement in about) == reads_all
        with domain.db.write() as session:
            session.execute(update(PeriodicLock).values(next_at=db_now(-2 * STALE)))


def test_a_clock_that_was_set_forward_while_no_process_ran_delays_nothing(
    domain: Domain, clock: AdjustableClock
) -> None:
    late = domain.running()
    domain.runs.retry_later(late, ERROR, 50.0)
    clock.jump(HOUR)
    ClockMonitor(domain.db).check()
    assert domain.due_in(late.task_id) <= 0.0


def test_a_periodic_lock_that_is_further_ahead_than_its_interval_is_free(
    domain: Domain, clock: AdjustableClock
) -> None:
    clock.jump(HOUR)
    assert acquire_periodic_lock(domain.db, "prune", 60.0)
    assert not acquire_periodic_lock(domain.db, "prune", 60.0)
    clock.jump(-HOUR)
    assert acquire_periodic_lock(domain.db, "prune", 60.0)
    assert not acquire_periodic_lock(domain.db, "prune", 60.0)


def test_a_process_whose_machine_slept_moves_nothing_while_others_were_awake(
    domain: Domain, clock: AdjustableClock
) -> None:
    awake, asleep = SteadyClock(), SteadyClock()
    others, sleeper = ClockMonitor(domain.db, awake), ClockMonitor(domain.db, asleep)
    claim = domain.running()
    others.check()
    sleeper.check()
    domain.runs.retry_later(claim, ERROR, 300.0)
    # An hour passes: the database and the others count it, the one that sleeps does not.
    clock.jump(HOUR)
    awake.off += HOUR
    others.check()
    sleeper.check()
    assert domain.due_in(claim.task_id) <= 0.0


def test_a_periodic_lock_is_free_in_time_when_the_clock_is_set_back(domain: Domain, clock: AdjustableClock) -> None:
    monitor = ClockMonitor(domain.db)
    monitor.check()
    assert acquire_periodic_lock(domain.db, "prune", 60.0)
    clock.jump(-HOUR)
    monitor.check()
    with domain.db.read() as session:
        left = session.scalars(select(PeriodicLock.next_at).where(PeriodicLock.name == "prune")).one()
        now = session.scalars(select(db_now())).one()
    assert (left - now).total_seconds() <= 60.0


def test_a_sweep_checks_the_clock_before_it_sends_anything(
    domain: Domain, clock: AdjustableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def relay() -> int:
        order.append("relay")
        return 0

    monkeypatch.setattr(domain.rt.clock, "check", lambda: order.append("clock"))
    monkeypatch.setattr(domain.rt.relay, "find_lost", relay)
    monkeypatch.setattr(domain.rt.relay, "run_due", lambda limit: relay())
    domain.rt.make_sweeper().run_once()
    assert order == ["clock", "relay", "relay"]
