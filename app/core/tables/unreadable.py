"""Handles payloads that cannot be read: damaged, changed, or encrypted with a missing key.

Operations on a task from outside do not need its payloads and must not fail for them. Only a claim reads the input and the
saved outputs, and it fails the one task whose payloads cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import structlog

from swallowtail.app.core.errors import SwallowtailError, Unavailable
from swallowtail.app.core.privacy.keyring import KeyMissing, Tampered

log = structlog.get_logger(__name__)

_DAMAGED, _UNREADABLE = "$damaged", "$unreadable"


class Unreadable(SwallowtailError):
    """What is stored is damaged: it is not JSON."""

    code = "unreadable"


class Placeholder(dict[str, Any]):
    """What stands in memory for a sealed value that cannot be opened; nothing that was submitted is taken for one."""

    def __init__(self, fault: KeyMissing | Tampered) -> None:
        super().__init__({_UNREADABLE: "key_missing" if isinstance(fault, KeyMissing) else "tampered"})
        # Not the fault itself: by its traceback it would hold the row, and the row it.
        self.kind, self.why = type(fault), fault.message


def deserialize(stored: str) -> Any:
    """Return a JSON column's value; what is no JSON becomes a mark, so that the other columns and rows can be read."""
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):
        return damaged()


class Damaged(dict[str, Any]):
    """What stands in memory for a stored value that is no JSON; nothing that was submitted is taken for one."""


def damaged() -> dict[str, Any]:
    """Return the mark of a value that is damaged."""
    return Damaged({_DAMAGED: True})


def is_damaged(value: Any) -> bool:
    """Tell whether a value is the mark of one that is damaged."""
    return isinstance(value, Damaged)


def is_mark(value: Any) -> bool:
    """Tell whether a value stands for one that cannot be read."""
    return isinstance(value, Placeholder) or is_damaged(value)


def as_error(mark: dict[str, Any]) -> dict[str, Any]:
    """Return a mark in the place of an error, with the code and message that every error has."""
    reason = mark.get(_UNREADABLE, "damaged")
    return {"code": Unreadable.code, "message": f"What is stored here cannot be read: {reason}", **mark}


def sound(value: Any, place: str) -> Any:
    """Return a value that can be read. Raises Unreadable, which names the place, KeyMissing or Tampered."""
    if isinstance(value, Placeholder):
        raise value.kind(value.why)
    if is_damaged(value):
        raise Unreadable(f"{place} is not JSON")
    return value


def is_unreadable(fault: BaseException) -> bool:
    """Tell whether an error says that one row cannot be read, and nothing of the rest of the database."""
    return isinstance(fault, Unreadable | KeyMissing | Tampered)


def alone(task_id: str, work: Callable[[], object]) -> None:
    """Do something to one task of many: whatever is wrong with its row keeps none of the others from theirs.

    Raises:
        Unavailable: the database is away, for all of them.
    """
    try:
        work()
    except Exception as fault:
        if isinstance(fault, Unavailable) and not is_unreadable(fault):
            raise
        log.exception("task_left_out", task_id=task_id)
