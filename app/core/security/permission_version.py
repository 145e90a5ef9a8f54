"""The version number of all permissions: every change raises it, so that web processes check their clients again.

`core/identity` raises it inside the transactions of its changes. What takes a permission away also excludes the other
such changes, from before its own check until the commit. Other writers lock nothing: see `Change.check_again`.
"""

from __future__ import annotations

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from swallowtail.app.core.tables.auth import AccessVersion

_THE_ROW = 1
_RAISED = "access_raised"
#: The advisory lock of changes that take permissions away: an arbitrary number.
_LOCK = 7_305_418_022


def raise_version(session: Session) -> None:
    """Raise the version, in the transaction that changes a permission."""
    session.info[_RAISED] = True
    while not _add_one(session):
        try:
            with session.begin_nested():
                session.execute(insert(AccessVersion).values(id=_THE_ROW, version=1))
            return
        except IntegrityError:
            # Another transaction inserted the row at the same time.
            continue


def exclude_changes(session: Session) -> None:
    """Let no other transaction take permissions away until the commit. SQLite has one writer at a time anyway."""
    if session.get_bind().dialect.name == "postgresql":
        # Its waiters get it in turn. Later requests could keep the lock of a row from a waiter.
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def is_raised(session: Session) -> bool:
    """Return whether the version was raised in this session."""
    return _RAISED in session.info


def read_version(session: Session) -> int:
    """Return the current version; 0 before the first change."""
    return session.scalar(select(AccessVersion.version).where(AccessVersion.id == _THE_ROW)) or 0


def _add_one(session: Session) -> bool:
    raised = session.execute(
        update(AccessVersion)
        .where(AccessVersion.id == _THE_ROW)
        .values(version=AccessVersion.version + 1)
        .returning(AccessVersion.id)
        .execution_options(synchronize_session=False)
    )
    return raised.one_or_none() is not None
