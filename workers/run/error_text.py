"""Turns any exception of an agent into an error that databases, logs and clients accept."""

from __future__ import annotations

from typing import Any

from swallowtail.app.core.events import plain
from swallowtail.workers.run.outcomes import Error, PermanentError

#: Longest error text in an event: clients show one line of it.
MESSAGE_LENGTH = 2000


def describe(error: BaseException, code: str = "exception") -> Error:
    """Return `{code, message, type}` for an exception. Never raises, even for an exception that cannot be printed."""
    kind = safe_text(_class_name(error))
    try:
        # Not isinstance: an exception may override `__class__`, or raise when it is read.
        if issubclass(type(error), PermanentError):
            name, message = safe_text(getattr(error, "code", "")), safe_text(getattr(error, "message", ""))
            return {"code": name or "permanent", "message": message or "Failed"}
        if issubclass(type(error), SystemExit | KeyboardInterrupt):
            args = BaseException.__getattribute__(error, "args")
            return {"code": code, "message": safe_text(f"{kind}: {safe_text(args[0]) if args else ''}"), "type": kind}
        return {"code": code, "message": safe_text(error) or kind, "type": kind}
    except BaseException:  # an exception that cannot be printed is reported by its class
        return {"code": code, "message": kind, "type": kind}


def log_exception(logger: Any, event: str, error: BaseException, **fields: Any) -> None:
    """Log an exception with its traceback; only its class if the exception cannot be printed."""
    try:
        logger.warning(event, exc_info=error, **fields)
    except BaseException:
        logger.warning(event, type=safe_text(_class_name(error)), **fields)


def safe_text(value: object) -> str:
    """Return text that every database and client accepts: no NUL, no lone surrogate, limited length. Never raises."""
    try:
        # By the method of `str` itself: a subclass may override slicing.
        text = str.__getitem__(str(value), slice(MESSAGE_LENGTH + 1))
    except BaseException:  # `__str__` may raise anything
        return ""
    clean: str = plain(text)
    return clean if len(clean) <= MESSAGE_LENGTH else clean[: MESSAGE_LENGTH - 1] + "…"


def _class_name(error: BaseException) -> str:
    # Past a metaclass that overrides `__name__`.
    name: str = type.__dict__["__name__"].__get__(type(error))
    return name
