"""Reads JSON bodies with all limits applied, and writes JSON responses with orjson."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Request, Response, request
from flask.json.provider import JSONProvider
from werkzeug.exceptions import HTTPException, LengthRequired, RequestEntityTooLarge, UnsupportedMediaType

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, SwallowtailError
from swallowtail.app.core.process.offload import SMALL, Offload, run_here
from swallowtail.app.core.validation import check_json
from swallowtail.app.web.container import get_runtime


class InvalidJson(SwallowtailError):
    """The body is not JSON."""

    code = "invalid_json"


class ApiRequest(Request):
    """A request whose `get_json` checks media type, size, syntax, depth, numbers and control characters."""

    _value: Any = None

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body, or an empty object if there is none. The arguments are Flask's and have no effect.

        Raises InvalidJson, InvalidInput, TooLarge, or HTTPException with 411, 413 or 415.
        """
        if self._value is None:
            self._value = self._parse()
        return self._value

    def _parse(self) -> Any:
        body = self.get_data()
        if not body:
            self._refuse_unreadable()
            return {}
        if self.content_length is None and len(body) >= get_runtime().settings.max_body_bytes:
            # Werkzeug truncates a body without a length at the limit instead of rejecting it.
            raise RequestEntityTooLarge("the body is too large")
        if not self.is_json:
            raise UnsupportedMediaType("send the body as application/json")
        runtime = get_runtime()
        read: Offload = runtime.offload if len(body) > SMALL else run_here
        return read(read_json, body, runtime.settings)

    def _refuse_unreadable(self) -> None:
        # Under a server that does not mark the end of the body, a chunked body looks empty.
        if "chunked" in self.headers.get("Transfer-Encoding", "") and "wsgi.input_terminated" not in self.environ:
            raise LengthRequired("send the body with a Content-Length")


def peek_json() -> dict[str, Any] | None:
    """Return the body of the current request before its view reads it; None if the view will refuse it."""
    try:
        body: dict[str, Any] = request.get_json()
    except (SwallowtailError, HTTPException):
        return None
    return body


_LONG_NUMBER = re.compile(rb"[0-9]{19}")


def read_json(body: bytes, settings: Settings) -> Any:
    """Return the value of a JSON text (RFC 8259). Of a duplicate key the last value counts.

    Raises InvalidJson, and InvalidInput and TooLarge as `check_json`; `core/services/tasks` checks `input`.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"the body is not JSON: {error}") from None
    if _LONG_NUMBER.search(body):
        value = _read_exactly(body)
    if not isinstance(value, dict):
        raise InvalidInput("the body must be an object", field="body")
    for key, inner in value.items():
        check_json(key, "body (a key)", settings)
        if key != "input":
            check_json(inner, key[:100], settings)
    return value


def _read_exactly(body: bytes) -> Any:
    """Parse integers of more than 64 bits exactly: orjson would round them, and a later check rejects them."""
    try:
        return json.loads(body)
    except (RecursionError, ValueError):
        raise InvalidInput("the body is nested too deeply or holds a number that is too long", field="body") from None


def write_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a JSON-ready value as its body."""
    if headers and "Location" in headers:  # A path below the URL prefix.
        headers = {**headers, "Location": request.script_root + headers["Location"]}
    return Response(orjson.dumps(value, default=_show_bytes), status, headers, mimetype="application/json")


def _show_bytes(value: object) -> str:
    """Return readable text for bytes in a damaged row of SQLite, so that the other rows can be shown."""
    if isinstance(value, bytes):
        return "\ufffd" + value.decode(errors="replace")
    raise TypeError(f"{type(value).__name__} has no JSON form")


class FastJson(JSONProvider):
    """Flask's JSON by orjson."""

    def dumps(self, obj: Any, **options: Any) -> str:
        """Encode."""
        return orjson.dumps(obj, default=_show_bytes).decode()

    def loads(self, s: str | bytes, **options: Any) -> Any:
        """Decode."""
        return orjson.loads(s)
