"""Detects jumps of the database's clock and corrects the times of outbox entries, periodic locks and leases.

Each sweep compares the database's clock with this process's steady one. A row stores the latest time that any process
has read. If it is ahead of the clock, or behind it by the jump, no process has corrected the jump yet. After a restart,
only that row shows that the clock was set back. No entry waits for longer than its own delay, and no lease is longer
than `lease_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import BigInteger, ColumnElement, and_, case, insert, literal, select, type_coerce, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from swallowtail.app.core.coordination.worker_registry import MISSED
from swallowtail.app.core.database.database import Database, db_now
from swallowtail.app.core.tables.base import Base, Moment
from swallowtail.app.core.tables.system import PeriodicLock, Worker
from swallowtail.app.core.tables.tasks import IS_RUNNING, Outbox, Task
from swallowtail.app.core.validation import LIMITS

log = structlog.get_logger(__name__)

#: Name of the row, among the periodic locks, with the latest time that any process has read.
CLOCK = "clock"
#: Seconds by which the clocks may differ between two checks without counting as a jump.
TOLERANCE = 2.0
#: How old the row may be, in seconds. A jump back by less is not detected after a restart.
STALE = 10.0

JUMPS = Counter("swallowtail_clock_jumps_total", "Jumps of the database's clock that this process corrected")


@dataclass(frozen=True, slots=True)
class _ClockReading:
    """The database's clock, and the moments of the steady clock between which it was read."""

    at: datetime
    after: float
    before: float


@dataclass(frozen=True, slots=True)
class _Jump:
    """By how many seconds the clock jumped, back if negative, and at most how long ago."""

    seconds: float = 0.0
    ago: float = 0.0


class ClockMonitor:
    """Compares the database's clock with the steady clock of one process."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._last: _ClockReading | None = None

    def check(self) -> None:
        """Read the clock, and correct the stored times after a jump. Raises Unavailable."""
        is_first, after = self._last is None, self._clock()
        with self._db.read() as session:
            now, latest = session.execute(select(db_now(), _LATEST.scalar_subquery())).one()
            reading = _ClockReading(now, after, self._clock())
            jump = _Jump() if self._last is None else _jump_between(self._last, reading)
            is_due = is_first or latest is None or (now - latest).total_seconds() > STALE
            # Before any row is locked: there is hardly ever one to correct.
            is_ahead = is_due and _is_ahead(session, now, whole=is_first)
        if is_due or _seconds_to_correct(now, latest, jump):
            correction: float = self._db.run(lambda session: _correct(session, jump, is_ahead=is_ahead))
            if correction:
                JUMPS.inc()
                log.warning("database_clock_jumped", seconds=round(correction, 1))
        self._last = reading


_LATEST = select(PeriodicLock.next_at).where(PeriodicLock.name == CLOCK)


def _jump_between(last: _ClockReading, this: _ClockReading) -> _Jump:
    """Return the jump, if the two readings prove one."""
    passed = (this.at - last.at).total_seconds()
    least, most = passed - (this.before - last.after), passed - (this.after - last.before)
    if least > TOLERANCE or most < -TOLERANCE:
        return _Jump((least + most) / 2, this.before - last.after)
    return _Jump()


def _seconds_to_correct(now: datetime, latest: datetime, jump: _Jump) -> float:
    """Return the seconds of a jump that no process has corrected yet: `latest` was read before it."""
    ahead = (latest - now).total_seconds()
    if ahead > TOLERANCE:
        return jump.seconds if jump.seconds < 0 else -ahead
    return jump.seconds if jump.seconds > 0 and -ahead > jump.seconds / 2 else 0.0


def _correct_jump(session: Session, jump: _Jump) -> float:
    """Correct the jump unless another process has, and store the time. Returns the seconds of the correction."""
    latest = session.scalar(_LATEST.with_for_update())
    now = session.scalars(select(db_now())).one()
    if latest is None:
        # Another process may insert it at the same time.
        with suppress(IntegrityError), session.begin_nested():
            session.execute(insert(PeriodicLock).values(name=CLOCK, next_at=now))
        return 0.0
    seconds = _seconds_to_correct(now, latest, jump)
    if seconds:
        _move(session, now, _Jump(seconds, jump.ago))
    session.execute(update(PeriodicLock).where(PeriodicLock.name == CLOCK).values(next_at=now))
    return seconds


def _correct(session: Session, jump: _Jump, *, is_ahead: bool) -> float:
    seconds = _correct_jump(session, jump)
    if seconds or is_ahead:
        now = session.scalars(select(db_now())).one()
        for model, ahead, values in _limits(session, now, whole=True):
            _execute(session, update(model).where(ahead).values(values))
    return seconds


def _is_ahead(session: Session, now: datetime, *, whole: bool) -> bool:
    limits = _limits(session, now, whole=whole)
    return any(
        session.scalar(select(literal(1)).select_from(model).where(ahead).limit(1)) for model, ahead, _ in limits
    )


def store_time(session: Session) -> None:
    """Store the present time: a write that shows whether the database accepts writes."""
    _correct_jump(session, _Jump())


def _move(session: Session, now: datetime, jump: _Jump) -> None:
    """Move times of before the jump, due times and start times; later ones are right already."""
    begin, end = now - timedelta(seconds=jump.seconds), now - timedelta(seconds=jump.ago)
    for column in (Outbox.available_at, PeriodicLock.next_at):
        # After a jump forward: what became due by the jump alone.
        _shift(session, column, jump, column > now if jump.seconds < 0 else (column > begin) & (column <= end))
    for since in (Outbox.created_at, Outbox.sent_at, Outbox.held_since):
        _shift(session, since, jump, (since > now) | (since <= end) if jump.seconds < 0 else since <= begin)
    # A start time once it has passed.
    passed = Outbox.due_at <= end
    _shift(session, Outbox.due_at, jump, (Outbox.due_at > now) | passed if jump.seconds < 0 else passed)


def _shift(session: Session, column: InstrumentedAttribute[Any], jump: _Jump, which: ColumnElement[bool]) -> None:
    later = type_coerce(type_coerce(column, BigInteger) + round(jump.seconds * 1_000_000), Moment)
    _execute(session, update(column.class_).where(which).values({column: later}))


def _limits(session: Session, now: datetime, *, whole: bool) -> Iterator[tuple[type[Base], ColumnElement[bool], Any]]:
    """Yield the rows that are further ahead than their delay or lease allows, and their corrected values.

    So a jump that no process detected delays nothing. `whole`: with conditions that scan the whole outbox.
    """
    limits = session.info[LIMITS]
    soon = now + timedelta(seconds=TOLERANCE)
    for since in (Outbox.sent_at, Outbox.created_at) if whole else (Outbox.sent_at,):
        # An entry of the future: its delay begins now.
        delay = type_coerce(Outbox.available_at, BigInteger) - type_coerce(since, BigInteger)
        present = literal(now, Moment)
        begun = {
            column: _limit_time(column, present) for column in (Outbox.created_at, Outbox.sent_at, Outbox.held_since)
        }
        at = type_coerce(_microseconds(now) + delay, Moment)
        yield Outbox, since > soon, {**begun, Outbox.available_at: at, Outbox.due_at: _limit_time(Outbox.due_at, at)}
    for is_sent, most in (
        (Outbox.sends > 0, limits.resend_max + limits.backoff_base),
        (Outbox.sends == 0, max(limits.backoff_base, limits.backoff_max, limits.retry_after_max, STALE)),
    ):
        last = now + timedelta(seconds=most)
        sooner = {Outbox.available_at: last, Outbox.due_at: _limit_time(Outbox.due_at, literal(last, Moment))}
        yield Outbox, is_sent & (Outbox.available_at > last), sooner
    held = now + timedelta(seconds=limits.lease_seconds)
    too_long = Task.lease_until > held + timedelta(seconds=TOLERANCE)
    yield Task, and_(IS_RUNNING, too_long), {Task.lease_until: held}
    # Dead workers only: live ones write this time again.
    silent = now + timedelta(seconds=limits.announce_interval * MISSED)
    yield Worker, Worker.good_until > silent + timedelta(seconds=TOLERANCE), {Worker.good_until: silent}


def _limit_time(column: Any, moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((column > moment, moment), else_=column)


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _execute(session: Session, statement: Any) -> None:
    session.execute(statement.execution_options(synchronize_session=False))
