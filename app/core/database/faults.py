"""Classifies database errors: which of them a retry may solve, and which error the caller gets.

Those that a retry may solve are not the caller's fault and do not fail a task: writes wait, requests get 503, and runs
pause. A broken foreign key means that the parent row was deleted between the check and the write.
"""

from __future__ import annotations

from prometheus_client import Counter
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from swallowtail.app.core.errors import NotFound, NotSetUp, Unavailable

# These messages are also the values of the metric's label `reason`: they must not change.
AWAY = "the database is locked or away"
FULL = "the database's disk is full"
READ_ONLY = "the database takes no writes"
BROKEN_DISK = "the database cannot read or write its disk"
NO_CONNECTION = "the database has no connection left"
NO_RESOURCES = "the database is out of resources"
CUT_OFF = "the database ended the statement"
_NOT_PREPARED = "behind this pooler statements cannot be prepared: set SWALLOWTAIL_DATABASE_PREPARE_THRESHOLD to 0"

#: Messages by SQLSTATE of PostgreSQL, or by its first characters.
_CODES = {
    "08": AWAY,
    "40001": AWAY,  # serialization failure
    "40P01": AWAY,  # deadlock
    "55P03": AWAY,  # lock not available
    "57P": AWAY,  # the server stops or starts
    "25006": READ_ONLY,
    "25P03": CUT_OFF,  # time limits of idle transactions and of transactions
    "25P04": CUT_OFF,
    "57014": CUT_OFF,
    "53100": FULL,
    "53300": NO_CONNECTION,
    "53": NO_RESOURCES,
    "58": BROKEN_DISK,
}
#: Messages by text of the error, for SQLite and failed connections.
_WORDS = {
    "disk is full": FULL,
    "no space left": FULL,
    "readonly database": READ_ONLY,
    "disk i/o error": BROKEN_DISK,
    "unable to open database file": BROKEN_DISK,
    "too many clients": NO_CONNECTION,
    "too many connections": NO_CONNECTION,
    "remaining connection slots": NO_CONNECTION,
    "no more connections": NO_CONNECTION,
    "query_wait_timeout": NO_CONNECTION,
    "locked": AWAY,
    "connect": AWAY,
    "closed": AWAY,
}

_FOREIGN_KEY = "23503"
#: Noun and field of each parent table. A constraint's name ends with the table (see `core/tables/base.Base`).
_PARENTS = {
    "_instance": ("instance", "instance_id"),
    "_task": ("task", "task_id"),
    "_schedule": ("schedule", "schedule_id"),
    "_user_account": ("user", "name"),
}

REFUSALS = Counter("swallowtail_database_refusals_total", "Transactions given up as the database refused", ["reason"])


def is_read_only(fault: DBAPIError) -> bool:
    """Return whether PostgreSQL refused a write because the server or the transaction is read-only."""
    return _code_of(fault) == "25006"


def reason_of(fault: DBAPIError) -> str | None:
    """Return the message of a fault that a retry may solve, soon or later; None for any other fault."""
    code = _code_of(fault)
    fault = _first_of(fault)
    lost = AWAY if fault.connection_invalidated else None
    if code is None:
        return _reason_in(fault) or lost if isinstance(fault, OperationalError) else lost
    message = next((_CODES[code[:length]] for length in (5, 3, 2) if code[:length] in _CODES), lost)
    # Poolers report all their errors under one code.
    return _reason_in(fault) or message if code.startswith("08") else message


def _code_of(fault: DBAPIError) -> str | None:
    return getattr(fault.orig, "sqlstate", None) or getattr(fault.orig, "pgcode", None)


def _first_of(fault: DBAPIError) -> DBAPIError:
    """Return the original fault: SQLite with a full disk ends the transaction with its savepoints."""
    earlier: BaseException | None = fault
    while earlier is not None and "no such savepoint" in str(fault.orig):
        earlier = earlier.__context__
        fault = earlier if isinstance(earlier, DBAPIError) else fault
    return fault


def _reason_in(fault: DBAPIError) -> str | None:
    text = str(fault.orig).lower()
    return next((reason for words, reason in _WORDS.items() if words in text), None)


def is_transient(fault: DBAPIError) -> bool:
    """Return whether the same transaction may succeed later."""
    return reason_of(fault) is not None


def unavailable(fault: DBAPIError) -> Unavailable | None:
    """Return the domain error of a fault and count it; None for a fault that no retry solves."""
    if _code_of(fault) in ("26000", "42P05"):
        return NotSetUp(_NOT_PREPARED)
    reason = reason_of(fault)
    if reason is None:
        return None
    REFUSALS.labels(reason).inc()
    return Unavailable(reason)


def find_missing(fault: DBAPIError) -> NotFound | None:
    """Return the error for a row whose parent is gone; None for any other fault."""
    code = _code_of(fault)
    # SQLite has no code, and does not name the constraint.
    is_broken = code == _FOREIGN_KEY or (code is None and "FOREIGN KEY" in str(fault.orig))
    if not (isinstance(fault, IntegrityError) and is_broken):
        return None
    constraint = str(getattr(getattr(fault.orig, "diag", None), "constraint_name", None) or "")
    for end, (noun, field) in _PARENTS.items():
        if constraint.endswith(end):
            return NotFound(f"there is no such {noun}", field=field)
    return NotFound("the parent of this object was deleted")
