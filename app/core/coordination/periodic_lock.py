"""Gives one process at a time the turn at a periodic duty, such as pruning.

A turn is a time in the database: the process that moves it on has the turn until then. When it dies, the others wait for
one interval.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.database.database import Database, db_now
from swallowtail.app.core.tables.system import Duty


def take_turn(db: Database, name: str, seconds: float) -> bool:
    """Take the turn at a duty for so many seconds; False when another process had it more recently.

    Raises:
        Unavailable: the database stayed away.
    """
    with db.read() as session:
        due = session.scalar(select(_is_due(seconds)).where(Duty.name == name))
    if due is not None and not due:
        return False
    taken: bool = db.run(lambda session: _take(session, name, seconds))
    return taken


def _is_due(seconds: float) -> ColumnElement[bool]:
    # Further ahead than any process moves it: the clock was set back.
    return (Duty.next_at <= db_now()) | (Duty.next_at > db_now(seconds))


def _take(session: Session, name: str, seconds: float) -> bool:
    moved = session.execute(
        update(Duty)
        .where(Duty.name == name, _is_due(seconds))
        .values(next_at=db_now(seconds))
        .returning(Duty.name)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if moved is not None:
        return True
    if session.scalar(select(Duty.name).where(Duty.name == name)) is not None:
        return False
    try:
        with session.begin_nested():
            session.execute(insert(Duty).values(name=name, next_at=db_now(seconds)))
    except IntegrityError:
        # Somebody else was the first at the same time.
        return False
    return True
