"""Gives one process at a time the right to do periodic work, such as pruning.

The lock is a time in the database: the process that moves it forward holds the lock until then. When that process dies,
the others wait for one interval.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.database.database import Database, db_now
from swallowtail.app.core.tables.system import PeriodicLock


def acquire_periodic_lock(db: Database, name: str, seconds: float) -> bool:
    """Acquire a lock for so many seconds; False while another process has it. Raises Unavailable."""
    with db.read() as session:
        is_due = session.scalar(select(_is_due(seconds)).where(PeriodicLock.name == name))
    if is_due is not None and not is_due:
        return False
    acquired: bool = db.run(lambda session: _acquire(session, name, seconds))
    return acquired


def _is_due(seconds: float) -> ColumnElement[bool]:
    # Further ahead than any process moves it: the clock was set back.
    return (PeriodicLock.next_at <= db_now()) | (PeriodicLock.next_at > db_now(seconds))


def _acquire(session: Session, name: str, seconds: float) -> bool:
    acquisition = (
        update(PeriodicLock)
        .where(PeriodicLock.name == name, _is_due(seconds))
        .values(next_at=db_now(seconds))
        .returning(PeriodicLock.name)
    )
    if session.scalar(acquisition.execution_options(synchronize_session=False)) is not None:
        return True
    if session.scalar(select(PeriodicLock.name).where(PeriodicLock.name == name)) is not None:
        return False
    try:
        with session.begin_nested():
            session.execute(insert(PeriodicLock).values(name=name, next_at=db_now(seconds)))
    except IntegrityError:
        # Another process inserted the row at the same time.
        return False
    return True
