"""What a row belongs to and somebody has deleted meanwhile. Beside the road, below `core/database/database`.

Whoever stores a row looks first whether its instance is there. Between that look and the write the instance may be
deleted, and then the database refuses the row. Whoever asked is told what they would have been told a moment later.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, IntegrityError

from swallowtail.app.core.errors import NotFound

_FOREIGN_KEY = "23503"
#: The table that a constraint refers to is the end of its name (see `core/tables/base.Base`): what it is, and its field.
_TOLD = {
    "_instance": ("instance", "instance_id"),
    "_task": ("task", "task_id"),
    "_schedule": ("schedule", "schedule_id"),
    "_user_account": ("user", "name"),
}


def find_missing(fault: DBAPIError) -> NotFound | None:
    """Return what to say when a row was refused because of what it refers to; None for any other fault."""
    if not isinstance(fault, IntegrityError):
        return None
    broken = _broken_constraint(fault)
    if broken is None:
        return None
    for end, (what, field) in _TOLD.items():
        if broken.endswith(end):
            return NotFound(f"there is no such {what}", field=field)
    return NotFound("what this belongs to is not there any more")


def _broken_constraint(fault: IntegrityError) -> str | None:
    """Return the name of the foreign key that was broken, as far as the database tells; None: it was none."""
    code = getattr(fault.orig, "sqlstate", None) or getattr(fault.orig, "pgcode", None)
    if code is not None:
        told = getattr(fault.orig, "diag", None)
        return str(getattr(told, "constraint_name", None) or "") if code == _FOREIGN_KEY else None
    # SQLite names none.
    return "" if "FOREIGN KEY" in str(fault.orig) else None
