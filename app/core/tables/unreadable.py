"""Handles payloads that cannot be read: damaged, changed, or encrypted with a missing key.

A mark takes their place in a loaded row, so that other columns and rows stay readable. Only a claim needs the payloads
of its task, and fails if one cannot be read.
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
    """The stored value is damaged: it is not JSON."""

    code = "unreadable"


class Placeholder(dict[str, Any]):
    """The mark of an encrypted value that cannot be decrypted; a submitted value is never an instance of it."""

    def __init__(self, fault: KeyMissing | Tampered) -> None:
        super().__init__({_UNREADABLE: "key_missing" if isinstance(fault, KeyMissing) else "tampered"})
        # Not the fault itself: its traceback refers to the row, and the row to this mark.
        self.kind, self.reason = type(fault), fault.message


def deserialize(stored: str) -> Any:
    """Return a JSON column's value, or a mark if the text is not JSON."""
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):
        return Damaged()


class Damaged(dict[str, Any]):
    """The mark of a stored value that is not JSON; a submitted value is never an instance of it."""

    def __init__(self) -> None:
        super().__init__({_DAMAGED: True})


def is_mark(value: Any) -> bool:
    """Return whether a value is the mark of one that cannot be read."""
    return isinstance(value, Placeholder | Damaged)


def as_error(mark: dict[str, Any]) -> dict[str, Any]:
    """Return a mark with the code and message that every error has."""
    reason = mark.get(_UNREADABLE, "damaged")
    return {"code": Unreadable.code, "message": f"What is stored here cannot be read: {reason}", **mark}


def require_readable(value: Any, place: str) -> Any:
    """Return the value unless it is a mark. Raises Unreadable, which names the place, KeyMissing or Tampered."""
    if isinstance(value, Placeholder):
        raise value.kind(value.reason)
    if isinstance(value, Damaged):
        raise Unreadable(f"{place} is not JSON")
    return value


def is_unreadable(fault: BaseException) -> bool:
    """Return whether an error is about one unreadable row, and not about the database."""
    return isinstance(fault, Unreadable | KeyMissing | Tampered)


def isolate(task_id: str, work: Callable[[], object]) -> None:
    """Process one task of many; log its errors, so that the others continue. Raises Unavailable."""
    try:
        work()
    except Exception as fault:
        if isinstance(fault, Unavailable) and not is_unreadable(fault):
            raise
        log.exception("task_skipped", task_id=task_id)
