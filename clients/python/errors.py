"""Errors of the client: no connection, and the problems that the REST API answers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Base of the errors that this package raises."""


class ConnectionFailed(ClientError):
    """The server could not be reached in time, or refuses this client."""


class ApiError(ClientError):
    """The server answered with an error."""

    def __init__(
        self,
        code: str,
        message: str,
        field: str | None = None,
        status: int = 0,
        *,
        retry_after: float | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare an error; `problem` is the whole answer, `retry_after` the seconds that the server names."""
        super().__init__(code, message, field, status)
        #: For programs: `not_found`, `rate_limited`, …; docs/api.md has all of them.
        self.code = code
        #: For people.
        self.message = message
        #: The part of the request that is wrong.
        self.field = field
        #: The HTTP status.
        self.status = status
        self.retry_after = retry_after
        self.problem = dict(problem or {})

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"

    @property
    def errors(self) -> list[dict[str, str]]:
        """Every wrong part of an invalid input, as `{field, message}`."""
        return list(self.problem.get("errors", ()))


class InvalidInput(ApiError):
    """A part of the request is invalid: `field` names it (400, 413, 422)."""


class Unauthenticated(ApiError):
    """The token is missing, invalid or expired (401)."""


class Forbidden(ApiError):
    """The caller may not do this (403)."""


class NotFound(ApiError):
    """There is no such object, or the caller may not see it (404)."""


class Conflict(ApiError):
    """The object's state does not allow this (409)."""


class TooFast(ApiError):
    """Too many requests, or too many objects (429)."""


class Unavailable(ApiError):
    """The server cannot answer at present (502, 503, 504)."""


#: The class of each HTTP status; of any other status it is ApiError.
_CLASSES: dict[int, type[ApiError]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: InvalidInput,
    422: InvalidInput,
    429: TooFast,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def make_error(status: int, problem: Mapping[str, Any], retry_after: float | None) -> ApiError:
    """Return the error for an HTTP status and its problem details (RFC 9457), or what a proxy sent instead of them."""
    code = str(problem.get("code", f"http_{status}"))
    message = str(problem.get("detail") or problem.get("title") or f"the server answered with status {status}")
    error = _CLASSES.get(status, ApiError)
    return error(code, message, problem.get("field"), status, retry_after=retry_after, problem=problem)
