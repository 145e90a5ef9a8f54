"""Jumps of the database's clock: leases and delays survive them, whoever sets the time or puts a machine to sleep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, select, text, update

from swallowtail.app.core.coordination.database_clock import STALE, ClockWatch
from swallowtail.app.core.coordination.periodic_lock import take_turn
from swallowtail.app.core.coordination.worker_registry import MISSED, announce
from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.ledger.leases import Reaper
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.system import Duty, Worker
from swallowtail.app.core.tables.tasks import Outbox, Task
from tests.core.domain import ERROR, Domain

HOUR = 3600.0
#: Room for a slow machine in what is left of a delay; far below what the clock jumps by.
ROOM = 30.0
#: Twice the usual heartbeat: how long a reaper makes sure that the database takes writes, in seconds.
GRACE = 2

#: A clock of the database's that can be set, found before the real one.
FALSE_CLOCK = """
DROP SCHEMA IF EXISTS false_clock CASCADE;
CREATE SCHEMA false_clock;
CREATE TABLE false_clock.off AS SELECT 0::float8 AS seconds;
CREATE FUNCTION false_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + make_interval(secs => seconds) FROM false_clock.off';
"""


class Clock:
    """The clock of a domain's database, in a test's hands."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.off = 0.0
        self.is_sqlite = domain.db.engine.dialect.name == "sqlite"
        if not self.is_sqlite:
            with domain.db.write() as session:
                session.execute(text(FALSE_CLOCK))
        event.listen(domain.db.engine, "connect", self._falsify)
        domain.db.dispose()

    def _falsify(self, connection: Any, _: object) -> None:
        if self.is_sqlite:
            connection.create_function("julianday", 1, lambda _: (time.time() + self.off) / 86400.0 + 2440587.5)
            return
        connection.cursor().execute("SET search_path = false_clock, pg_catalog, public")
        connection.commit()

    def jump(self, seconds: float) -> None:
        """Set the clock by so many seconds."""
        self.off += seconds
        if not self.is_sqlite:
            with self.domain.db.write() as session:
                session.execute(text("UPDATE false_clock.off SET seconds = :off"), {"off": self.off})

    def close(self) -> None:
        if not self.is_sqlite:
            with self.domain.db.write() as session:
                session.execute(text("DROP SCHEMA false_clock CASCADE"))


class Steady:
    """A process's steady clock, in a test's hands. It goes on with the time, unless `goes` is false."""

    def __init__(self, *, goes: bool = True) -> None:
        self.goes = goes
        self.off = 0.0

    def __call__(self) -> float:
        return self.off + (time.monotonic() if self.goes else 0.0)


@pytest.fixture
def clock(domain: Domain) -> Iterator[Clock]:
    made = Clock(domain)
    yield made
    made.close()


@pytest.fixture
def steady(domain: Domain) -> Steady:
    """The clock of the domain's reaper, which only the test moves."""
    made = Steady(goes=False)
    domain.rt.reaper = Reaper(domain.db, domain.proposals, domain.settings, made)
    return made


def _watch(domain: Domain, steady: Steady, seconds: float) -> int:
    """Let the reaper look each second for so long; how many it reaped."""
    reaped = domain.rt.reaper.run()
    for _ in range(int(seconds)):
        steady.off += 1.0
        reaped += domain.rt.reaper.run()
    return reaped


def test_the_clock_of_the_database_can_be_set_by_a_test(domain: Domain, clock: Clock) -> None:
    with domain.db.read() as session:
        before = session.scalars(select(db_now())).one()
    clock.jump(HOUR)
    with domain.db.read() as session:
        after = session.scalars(select(db_now())).one()
    assert HOUR <= (after - before).total_seconds() < HOUR + ROOM


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_run_that_renews_its_lease_is_not_reaped_whatever_the_clock_does(
    domain: Domain, clock: Clock, steady: Steady, jump: float
) -> None:
    claim = domain.running()
    assert _watch(domain, steady, 5) == 0
    clock.jump(jump)
    for _ in range(10):
        assert _watch(domain, steady, 5) == 0
        assert domain.runs.heartbeat(claim, 1.0, "").alive
    assert domain.task(claim.task_id).status == TaskStatus.IN_PROGRESS


@pytest.mark.parametrize("jump", [0.0, HOUR, -HOUR])
def test_a_run_whose_worker_was_killed_is_reaped_after_a_lease_whatever_the_clock_does(
    domain: Domain, clock: Clock, steady: Steady, jump: float
) -> None:
    claim = domain.running()
    assert _watch(domain, steady, 1) == 0
    clock.jump(jump)
    assert _watch(domain, steady, domain.settings.lease_seconds - 2) == 0
    assert _watch(domain, steady, 2 + GRACE) == 1
    assert domain.task(claim.task_id).status == TaskStatus.RETRYING


def test_one_who_was_stopped_or_has_just_begun_gives_everybody_the_time_to_renew_their_lease(
    domain: Domain, clock: Clock, steady: Steady
) -> None:
    claim = domain.running()
    clock.jump(HOUR)
    assert _watch(domain, steady, 1) == 0, "has just begun"
    steady.off += HOUR
    assert _watch(domain, steady, 1) == 0, "was stopped"
    domain.runs.heartbeat(claim, 1.0, "")
    assert _watch(domain, steady, domain.settings.lease_seconds - 1) == 0
    assert _watch(domain, steady, 1 + GRACE) == 1


def test_a_delay_goes_on_when_the_clock_is_set(domain: Domain, clock: Clock) -> None:
    one, other = ClockWatch(domain.db), ClockWatch(domain.db)
    claim, due = domain.running(), domain.submit()
    domain.runs.retry_later(claim, ERROR, 300.0)
    for jump in (-HOUR, HOUR, -7 * HOUR, 7 * HOUR):
        one.look()
        other.look()
        clock.jump(jump)
        other.look()
        one.look()
        assert 300.0 - ROOM < domain.due_in(claim.task_id) <= 300.0, jump
        assert domain.due_in(due) <= 0.0, jump


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_what_is_counted_from_a_moment_is_counted_on(domain: Domain, clock: Clock, jump: float) -> None:
    watch = ClockWatch(domain.db)
    domain.queued()
    with domain.db.write() as session:
        session.execute(update(Outbox).values(held_since=db_now(-100.0)))
    watch.look()
    clock.jump(jump)
    watch.look()
    with domain.db.read() as session:
        sent, held, now = session.execute(select(Outbox.sent_at, Outbox.held_since, db_now())).one()
    assert sent is not None
    assert held is not None
    assert 0.0 <= (now - sent).total_seconds() < ROOM
    assert 100.0 <= (now - held).total_seconds() < 100.0 + ROOM


def test_what_was_stored_between_the_jump_and_its_discovery_has_the_right_time(domain: Domain, clock: Clock) -> None:
    watch = ClockWatch(domain.db)
    claim = domain.running()
    watch.look()
    clock.jump(HOUR)
    due = domain.submit()
    domain.runs.retry_later(claim, ERROR, 300.0)
    watch.look()
    assert domain.due_in(due) <= 0.0
    assert 300.0 - ROOM < domain.due_in(claim.task_id) <= 300.0


def test_a_clock_that_was_set_back_while_nobody_looked_is_found_after_a_restart(domain: Domain, clock: Clock) -> None:
    claim = domain.running()
    ClockWatch(domain.db).look()
    domain.runs.retry_later(claim, ERROR, 50.0)
    clock.jump(-HOUR)
    ClockWatch(domain.db).look()
    assert domain.due_in(claim.task_id) <= 50.0 + STALE


def test_nothing_waits_for_a_clock_that_was_set_back_before_anybody_had_looked_at_it(
    domain: Domain, clock: Clock
) -> None:
    clock.jump(HOUR)
    late, doubted, running = domain.running(), domain.queued(), domain.running()
    domain.runs.retry_later(late, ERROR, 50.0)
    with domain.db.write() as session:
        session.execute(update(Outbox).where(Outbox.task_id == doubted).values(held_since=db_now()))
    clock.jump(-HOUR)
    for _ in range(2):
        # The second is another process, which finds all as the first has left it.
        ClockWatch(domain.db).look()
        assert 50.0 - ROOM < domain.due_in(late.task_id) <= 50.0
        assert 60.0 - ROOM < domain.due_in(doubted) <= 60.0
    with domain.db.read() as session:
        lease, now = session.execute(select(Task.lease_until, db_now()).where(Task.id == running.task_id)).one()
        held = session.scalars(select(Outbox.held_since).where(Outbox.task_id == doubted)).one()
    assert lease is not None
    assert held is not None
    assert (lease - now).total_seconds() <= domain.settings.lease_seconds
    assert held <= now


def test_nothing_lies_further_ahead_than_any_delay_there_is(domain: Domain) -> None:
    ClockWatch(domain.db).look()
    late, sent = domain.submit(), domain.queued()
    with domain.db.write() as session:
        session.execute(update(Outbox).values(available_at=db_now(24 * HOUR)))
        session.execute(update(Duty).values(next_at=db_now(-2 * STALE)))
    watch = ClockWatch(domain.db)
    watch.look()
    assert domain.due_in(late) <= domain.settings.retry_after_max
    assert domain.due_in(sent) <= domain.settings.resend_max + domain.settings.backoff_base


def test_a_worker_that_died_before_the_clock_was_set_back_is_not_counted_on_for_as_long(domain: Domain) -> None:
    announce(domain.db, "dead", ["any"], domain.settings.announce_interval)
    with domain.db.write() as session:
        session.execute(update(Worker).values(good_until=db_now(HOUR)))
    ClockWatch(domain.db).look()
    with domain.db.read() as session:
        ahead = session.scalars(select(Worker.good_until)).one() - session.scalars(select(db_now())).one()
    assert ahead.total_seconds() <= domain.settings.announce_interval * MISSED


def test_what_lies_ahead_is_looked_for_without_a_lock_and_in_the_whole_outbox_only_at_first(domain: Domain) -> None:
    domain.queued()
    watch, told = ClockWatch(domain.db), []
    event.listen(domain.db.engine, "before_cursor_execute", lambda *given: told.append(str(given[2])))
    for asks_for_all in (True, False):
        told.clear()
        watch.look()
        about = [statement for statement in told if "outbox" in statement]
        assert about
        assert all(statement.startswith("SELECT") for statement in about)
        assert any("created_at >" in statement for statement in about) == asks_for_all
        with domain.db.write() as session:
            session.execute(update(Duty).values(next_at=db_now(-2 * STALE)))


def test_a_clock_that_was_put_forward_while_nobody_ran_holds_nothing_up(domain: Domain, clock: Clock) -> None:
    late = domain.running()
    domain.runs.retry_later(late, ERROR, 50.0)
    clock.jump(HOUR)
    ClockWatch(domain.db).look()
    assert domain.due_in(late.task_id) <= 0.0


def test_a_turn_that_lies_further_ahead_than_its_interval_is_taken(domain: Domain, clock: Clock) -> None:
    clock.jump(HOUR)
    assert take_turn(domain.db, "prune", 60.0)
    assert not take_turn(domain.db, "prune", 60.0)
    clock.jump(-HOUR)
    assert take_turn(domain.db, "prune", 60.0)
    assert not take_turn(domain.db, "prune", 60.0)


def test_one_whose_machine_slept_moves_nothing_while_others_were_awake(domain: Domain, clock: Clock) -> None:
    awake, asleep = Steady(), Steady()
    others, sleeper = ClockWatch(domain.db, awake), ClockWatch(domain.db, asleep)
    claim = domain.running()
    others.look()
    sleeper.look()
    domain.runs.retry_later(claim, ERROR, 300.0)
    # An hour passes: the database and the others count it, the one that sleeps does not.
    clock.jump(HOUR)
    awake.off += HOUR
    others.look()
    sleeper.look()
    assert domain.due_in(claim.task_id) <= 0.0


def test_a_turn_at_a_duty_comes_in_time_when_the_clock_is_set_back(domain: Domain, clock: Clock) -> None:
    watch = ClockWatch(domain.db)
    watch.look()
    assert take_turn(domain.db, "prune", 60.0)
    clock.jump(-HOUR)
    watch.look()
    with domain.db.read() as session:
        left = session.scalars(select(Duty.next_at).where(Duty.name == "prune")).one()
        now = session.scalars(select(db_now())).one()
    assert (left - now).total_seconds() <= 60.0


def test_a_sweep_looks_at_the_clock_before_it_sends_anything(
    domain: Domain, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def relay() -> int:
        order.append("relay")
        return 0

    monkeypatch.setattr(domain.rt.clock, "look", lambda: order.append("clock"))
    monkeypatch.setattr(domain.rt.relay, "find_lost", relay)
    monkeypatch.setattr(domain.rt.relay, "run_due", lambda limit: relay())
    domain.rt.make_sweeper().run_once()
    assert order == ["clock", "relay", "relay"]
