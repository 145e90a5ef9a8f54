"""Every error of the domain.

The docstring of a class is its default message; `code` is its name in REST problem details, in Socket.IO `error` events
and in the CLI. `field` names the wrong part of the input, such as `input.platforms[0]`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

#: Seconds until a retry when a limit is reached.
WHEN_FULL = 5.0
#: What Pydantic's messages begin with, and how some end.
_SUBJECT, _PARSER = re.compile(r"^(Input|String|List|Dictionary|Value) should "), ", unable to parse"


def explain(fault: Mapping[str, Any]) -> str:
    """Return the message of one of Pydantic's errors, to follow the name of a field: `must be a valid number`."""
    message: str = fault["msg"].removeprefix("Value error, ").partition(_PARSER)[0]
    return _SUBJECT.sub("must ", message, count=1)


class SwallowtailError(Exception):
    """The operation failed."""

    code = "error"
    #: Seconds after which a retry may succeed, if known.
    retry_after: float | None = None

    def __init__(
        self, message: str | None = None, *, field: str | None = None, retry_after: float | None = None
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.field = field
        if retry_after is not None:
            self.retry_after = retry_after
        super().__init__(self.message)

    def as_dict(self) -> dict[str, Any]:
        """Return `{code, message, field?, retry_after_ms?}`, the form of an error in events and responses."""
        shape: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.field is not None:
            shape["field"] = self.field
        if self.retry_after is not None:
            shape["retry_after_ms"] = math.ceil(self.retry_after * 1000)
        return shape


class SettingsError(SwallowtailError):
    """A setting has a value that cannot be used."""

    code = "settings"


class NotReleased(SettingsError):
    """The database has no tables, or those of an older version."""


class InvalidInput(SwallowtailError):
    """Invalid input."""

    code = "invalid_input"

    def __init__(
        self, message: str | None = None, *, field: str | None = None, errors: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message, field=field)
        #: Every fault as `{field, message}`; `message` is the first.
        self.errors = errors or ([{"field": field, "message": self.message}] if field else [])


class TooLarge(SwallowtailError):
    """The input is larger than allowed."""

    code = "too_large"


class TooMany(SwallowtailError):
    """Too many at once for one caller."""

    code = "too_many"


class TooFast(SwallowtailError):
    """Too many requests."""

    code = "rate_limited"
    retry_after: float = 1.0


class Unauthenticated(SwallowtailError):
    """Sign-in required: the token is missing, unknown, expired or revoked."""

    code = "unauthenticated"
    #: Whether a token was sent, and its id if the caller proved to have it: for the audit log only.
    is_of_token = False
    token_id: str | None = None


class Forbidden(SwallowtailError):
    """Permission denied."""

    code = "forbidden"


class NotFound(SwallowtailError):
    """Not found, or not visible to you."""

    code = "not_found"


class Conflict(SwallowtailError):
    """The current state does not allow this."""

    code = "conflict"


class Unavailable(SwallowtailError):
    """A required service is unavailable; try again later."""

    code = "unavailable"


class CutOff(Unavailable):
    """The database connection broke; nothing was stored, unless the commit had begun."""


class NotSetUp(Unavailable):
    """This server is not configured for it."""

    code = "not_set_up"


class Busy(SwallowtailError):
    """Too many connections at once; try again later."""

    code = "busy"


class LeaseLost(SwallowtailError):
    """This run no longer holds the task: its lease ran out or another run took over."""

    code = "lease_lost"


class CancelRequested(SwallowtailError):
    """Cancellation of this task was requested."""

    code = "cancelled"
