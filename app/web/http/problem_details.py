"""Responds to every HTTP error in one format: problem details (RFC 9457).

A problem is `{type, title, status, detail, code}`; with `field` and `errors` if a part of the input is invalid, and
with `error_id`, which is also in the log, for an unexpected error.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from apiflask.exceptions import HTTPError
from flask import Flask, Response, render_template, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from swallowtail.app.core.database.faults import unavailable
from swallowtail.app.core.errors import InvalidInput, NotSetUp, SwallowtailError, Unauthenticated, Unavailable

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Most validation errors in one problem.
_MAX_ERRORS = 20
#: A field's name may be as long as the body, and a detail quotes it.
_MAX_FIELD = 200
_MAX_DETAIL = 500


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem: code on the wire, HTTP status, title, and what the caller can do."""

    code: str
    status: int
    title: str
    remedy: str


_ALL_KINDS = (
    ProblemKind("bad_request", 400, "Malformed request", "Correct the request."),
    ProblemKind("invalid_json", 400, "Invalid JSON", "Send one JSON text, in UTF-8, without NaN or Infinity."),
    ProblemKind("unauthenticated", 401, "Sign-in required", "Send a valid token as `Authorization: Bearer …`."),
    ProblemKind("foreign_origin", 403, "Cross-origin request denied", "Add the origin to `SWALLOWTAIL_CORS_ORIGINS`."),
    ProblemKind("csrf", 403, "CSRF token missing or invalid", "Reload the page."),
    ProblemKind("forbidden", 403, "Permission denied", "Ask an admin of the instance for the required role."),
    ProblemKind(
        "not_found", 404, "Not found", "Check the URL; objects that you may not see are reported as not found."
    ),
    ProblemKind("method_not_allowed", 405, "Method not allowed", "Use a method that the `Allow` header lists."),
    ProblemKind("conflict", 409, "Conflict with the current state", "Read the current state and decide again."),
    ProblemKind("too_old", 410, "Events no longer stored", "Read a snapshot and continue from its `head`."),
    ProblemKind("epoch", 410, "Log restarted", "Discard the position, read a snapshot and continue from its `head`."),
    ProblemKind("length_required", 411, "Length required", "Send a `Content-Length`."),
    ProblemKind("too_large", 413, "Input too large", "Send less data, or raise `SWALLOWTAIL_MAX_BODY_BYTES`."),
    ProblemKind("unsupported_media_type", 415, "Unsupported media type", "Send `Content-Type: application/json`."),
    ProblemKind("unknown_host", 421, "Unknown host name", "Add it to `SWALLOWTAIL_ALLOWED_HOSTS`."),
    ProblemKind(
        "not_from_here",
        421,
        "Only local access allowed",
        "Set `SWALLOWTAIL_AUTH=required`; behind a proxy, `SWALLOWTAIL_TRUSTED_PROXIES` and "
        "`SWALLOWTAIL_ALLOWED_HOSTS` too.",
    ),
    ProblemKind("too_many", 429, "Too many at once", "Close or delete something first."),
    ProblemKind("rate_limited", 429, "Too many requests", "Try again after `Retry-After` seconds."),
    ProblemKind("invalid_input", 422, "Invalid input", "Correct the fields that `field` and `errors` name."),
    ProblemKind(
        "internal", 500, "Internal server error", "Report the `error_id` to the operator; it is in the server's log."
    ),
    ProblemKind("unavailable", 503, "Service unavailable", "Try again after `Retry-After` seconds."),
    ProblemKind("not_set_up", 503, "Not configured", "Ask the operator to configure what `detail` names."),
)
KINDS = {kind.code: kind for kind in _ALL_KINDS}
#: Kinds that share their status with a more general kind.
_SPECIAL = ("invalid_json", "epoch", "rate_limited", "foreign_origin", "csrf", "not_set_up", "not_from_here")
_CODES = {kind.status: kind.code for kind in KINDS.values() if kind.code not in _SPECIAL}


class GoneFromReplay(SwallowtailError):
    """The log cannot be read from this position: `code` has the reason, `extensions` the readable positions."""

    def __init__(self, code: str, message: str, extensions: Mapping[str, Any]) -> None:
        super().__init__(message, field="since")
        self.code = code
        self.extensions = extensions


def answer_problem(
    kind: ProblemKind,
    detail: str,
    *,
    field: str | None = None,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> Response:
    """Return the response for one problem: problem details, or a page if the browser asked for a page."""
    if _wants_page():
        page = render_template("error.html", title=kind.title, message=detail, **(extensions or {}))
        return Response(page, kind.status, headers, mimetype="text/html")
    body = describe_problem(kind, detail)
    if field is not None:
        body["field"] = field[:_MAX_FIELD]
    if errors:
        body["errors"] = [{**error, "field": error["field"][:_MAX_FIELD]} for error in errors[:_MAX_ERRORS]]
    body |= extensions or {}
    return Response(orjson.dumps(body), kind.status, headers, mimetype=MEDIA_TYPE)


def describe_problem(kind: ProblemKind, detail: str) -> dict[str, Any]:
    """Return the members that all problems have."""
    return {
        "type": f"/api/docs#problem-{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail if len(detail) <= _MAX_DETAIL else f"{detail[:_MAX_DETAIL]}…",
        "code": kind.code,
    }


def register(app: Flask) -> None:
    """Respond to every error of the application with a problem."""
    app.register_error_handler(SwallowtailError, answer_domain_error)
    app.register_error_handler(HTTPError, _answer_library_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(DBAPIError, _answer_database_error)
    app.register_error_handler(PoolTimeout, _answer_database_error)
    app.register_error_handler(Exception, _answer_unexpected)


def answer_domain_error(error: SwallowtailError) -> Response:
    """Respond to an error of the domain."""
    kind = KINDS.get(error.code)
    if kind is None or kind.status == 500:
        return _answer_unexpected(error)
    return answer_problem(
        kind,
        error.message,
        field=error.field,
        errors=error.errors if isinstance(error, InvalidInput) else None,
        headers=_headers_for(error),
        extensions=_extensions_of(error),
    )


def _headers_for(error: SwallowtailError) -> dict[str, str] | None:
    # A feature that is not configured will not be available a moment later.
    if isinstance(error, Unavailable) and not isinstance(error, NotSetUp):
        return {"Retry-After": "1"}
    if error.retry_after is not None:
        return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": _challenge(error)}
    return None


def _challenge(error: Unauthenticated) -> str:
    """Return the challenge of RFC 6750: a token is missing, or what is wrong with the token."""
    challenge = 'Bearer realm="swallowtail"'
    if not request.headers.get("Authorization", "").lower().startswith("bearer"):
        return challenge
    return f'{challenge}, error="invalid_token", error_description="{error.message}"'


def _extensions_of(error: SwallowtailError) -> Mapping[str, Any] | None:
    if isinstance(error, GoneFromReplay):
        return error.extensions
    shape = error.as_dict()
    return {"retry_after_ms": shape["retry_after_ms"]} if "retry_after_ms" in shape else None


def _wants_page() -> bool:
    offered = [MEDIA_TYPE, "application/json", "text/html"]
    media_type = request.accept_mimetypes.best_match(offered, MEDIA_TYPE)
    return media_type == "text/html" and not request.path.startswith("/api/")


def _answer_library_error(error: HTTPError) -> Response:
    return _answer_status(error.status_code, str(error.message), {})


def _answer_http_error(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if status < 400:
        return error
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return _answer_status(status, error.description or error.name, headers)


def _answer_status(status: int, detail: str, headers: Mapping[str, str]) -> Response:
    code = _CODES.get(status, "bad_request" if status < 500 else "internal")
    kind = KINDS[code]
    if kind.status != status:
        kind = ProblemKind(kind.code, status, kind.title, kind.remedy)
    return answer_problem(kind, detail, headers=headers)


def _answer_database_error(error: DBAPIError | PoolTimeout) -> Response:
    refusal = unavailable(error) if isinstance(error, DBAPIError) else Unavailable("every connection is in use")
    if refusal is None:
        return _answer_unexpected(error)
    log.warning("database_unavailable", reason=str(error))
    return answer_domain_error(refusal)


def _answer_unexpected(error: Exception) -> Response:
    error_id = uuid.uuid4().hex
    log.error("request_failed", error_id=error_id, method=request.method, path=request.path, exc_info=error)
    return answer_problem(KINDS["internal"], "an unexpected error occurred", extensions={"error_id": error_id})
