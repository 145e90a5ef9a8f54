"""Turns broken foreign keys into NotFound: the parent row was deleted between the check and the write."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, IntegrityError

from swallowtail.app.core.errors import NotFound

_FOREIGN_KEY = "23503"
#: Noun and field of each parent table. A constraint's name ends with the table (see `core/tables/base.Base`).
_PARENTS = {
    "_instance": ("instance", "instance_id"),
    "_task": ("task", "task_id"),
    "_schedule": ("schedule", "schedule_id"),
    "_user_account": ("user", "name"),
}


def find_missing(fault: DBAPIError) -> NotFound | None:
    """Return the error for a row whose parent is gone; None for any other fault."""
    if not isinstance(fault, IntegrityError):
        return None
    broken = _broken_constraint(fault)
    if broken is None:
        return None
    for end, (what, field) in _PARENTS.items():
        if broken.endswith(end):
            return NotFound(f"there is no such {what}", field=field)
    return NotFound("the parent of this object was deleted")


def _broken_constraint(fault: IntegrityError) -> str | None:
    """Return the name of the broken foreign key, empty if the database does not name it; None for other errors."""
    code = getattr(fault.orig, "sqlstate", None) or getattr(fault.orig, "pgcode", None)
    if code is not None:
        details = getattr(fault.orig, "diag", None)
        return str(getattr(details, "constraint_name", None) or "") if code == _FOREIGN_KEY else None
    # SQLite does not name it.
    return "" if "FOREIGN KEY" in str(fault.orig) else None
