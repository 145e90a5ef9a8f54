"""Registers live workers and the kinds of task that they know; each repeats its registration in the database.

A card (`core/ledger/agent_cards`) says that a kind exists; only this shows that a worker would run it. Workers
that fell silent are remembered for a day, so that a deployment whose workers are gone differs from one that had none.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.database.database import Database, db_now
from swallowtail.app.core.tables.system import Worker

#: A worker that has not said anything for so many of its intervals is no longer counted on.
MISSED = 6
_FORGET_SECONDS = 24 * 3600.0


def announce(db: Database, worker_id: str, kinds: Iterable[str], interval: float) -> None:
    """Say that a worker lives and knows these kinds, and will say so again after `interval` seconds.

    Raises:
        Unavailable: the database stayed away.
    """
    known = sorted(kinds)

    def work(session: Session) -> None:
        row = session.get(Worker, worker_id) or Worker(id=worker_id)
        row.kinds, row.good_until = known, db_now(interval * MISSED)
        session.add(row)
        session.execute(delete(Worker).where(Worker.good_until < db_now(-_FORGET_SECONDS)))

    try:
        db.run(work)
    except IntegrityError:
        # The same one, from a process before this that was about to end.
        db.run(work)


def retire(db: Database, worker_id: str) -> None:
    """Say that a worker is going. Raises Unavailable."""
    gone = update(Worker).where(Worker.id == worker_id, Worker.good_until > db_now()).values(good_until=db_now())
    db.run(lambda session: session.execute(gone.execution_options(synchronize_session=False)))


def live_kinds(session: Session) -> dict[str, int]:
    """Return the kinds that live workers know, each with their number."""
    numbers: dict[str, int] = {}
    for kinds in session.scalars(select(Worker.kinds).where(Worker.good_until > db_now())):
        # A damaged row must not prevent submissions.
        for kind in filter(_is_name, kinds if isinstance(kinds, list) else ()):
            numbers[kind] = numbers.get(kind, 0) + 1
    return numbers


def find_doubt(session: Session, kind: str) -> str | None:
    """Return a warning about tasks of a kind that no live worker knows.

    None when one knows it, and where no worker has ever said anything: then this is a beginning, and not an end.
    """
    numbers = live_kinds(session)
    if kind in numbers:
        return None
    if numbers:
        return f"No running worker knows the kind {kind!r}: a task of it waits for one, and fails if none comes"
    if session.scalar(select(Worker.id).limit(1)) is None:
        return None
    return "No worker is running: the task waits for one"


def _is_name(kind: object) -> bool:
    return isinstance(kind, str)
