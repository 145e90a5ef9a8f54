"""Registers live workers and the kinds of task that they know; each worker repeats its registration.

A card (`core/ledger/agent_cards`) means that a kind exists; a registration, that a worker runs it. Lost workers stay
registered for a day, so that a deployment whose workers are gone differs from one that had none.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.database.database import Database, db_now
from swallowtail.app.core.tables.system import Worker
from swallowtail.version import VERSION

#: Intervals without a registration after which a worker counts as lost.
MISSED = 6
_FORGET_SECONDS = 24 * 3600.0
#: The warning while no worker runs.
NO_WORKER = "No worker is running: the task waits for one"


def announce(db: Database, worker_id: str, kinds: Iterable[str], interval: float) -> None:
    """Register a worker and its kinds; it does so again after `interval` seconds. Raises Unavailable."""
    kind_names = sorted(kinds)

    def work(session: Session) -> None:
        row = session.get(Worker, worker_id) or Worker(id=worker_id)
        row.kinds, row.good_until, row.version = kind_names, db_now(interval * MISSED), VERSION
        session.add(row)
        session.execute(delete(Worker).where(Worker.good_until < db_now(-_FORGET_SECONDS)))

    try:
        db.run(work)
    except IntegrityError:
        # The same id, inserted by an earlier process that was about to end.
        db.run(work)


def retire(db: Database, worker_id: str, *, wait: float | None = None) -> None:
    """Mark a worker as gone; waits `wait` seconds for the database, `database_wait` by default. Raises Unavailable."""
    retirement = update(Worker).where(Worker.id == worker_id, Worker.good_until > db_now()).values(good_until=db_now())
    db.run(lambda session: session.execute(retirement.execution_options(synchronize_session=False)), wait=wait)


def live_workers(session: Session) -> Sequence[Worker]:
    """Return the live workers, by id."""
    return session.scalars(select(Worker).where(Worker.good_until > db_now()).order_by(Worker.id)).all()


def live_kinds(session: Session) -> dict[str, int]:
    """Return the kinds that live workers know, each with their number."""
    numbers: dict[str, int] = {}
    for kinds in session.scalars(select(Worker.kinds).where(Worker.good_until > db_now())):
        # A damaged row must not prevent submissions.
        for kind in kinds if isinstance(kinds, list) else ():
            if isinstance(kind, str):
                numbers[kind] = numbers.get(kind, 0) + 1
    return numbers


def find_kind_warning(session: Session, kind: str, live: Container[str] | None = None) -> str | None:
    """Return a warning about tasks of a kind that no live worker knows; None if no worker was ever registered.

    `live` is what `live_kinds` returned, if the caller has read it.
    """
    live = live_kinds(session) if live is None else live
    if kind in live:
        return None
    if live:
        return warn_of_kind(kind)
    return None if session.scalar(select(Worker.id).limit(1)) is None else NO_WORKER


def warn_of_kind(kind: str) -> str:
    """Return the warning about a kind that none of the live workers knows."""
    return f"No running worker knows the kind {kind!r}: a task of it waits for one, and fails if none comes"
