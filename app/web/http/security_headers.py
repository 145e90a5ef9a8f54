"""Headers of every answer: what browsers may do with it, who may read it from elsewhere, and how long it keeps."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.http.cors import AllowedOrigins

#: A view that needs more (none does yet) sets the header itself.
SECURE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_METHODS = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
_ASKED = "Content-Type, Idempotency-Key, Authorization"
_EXPOSED = "Location, Retry-After"
_YEAR = 365 * 24 * 3600


def register(app: Flask, settings: Settings) -> None:
    """Say of every answer who may read it and how long it keeps; refuse bodies that say that they are too large."""
    origins = AllowedOrigins(settings)
    versions = _Versions(Path(app.static_folder or "static"))
    app.before_request(_refuse_large_body)
    app.url_defaults(versions.add)

    @app.after_request
    def finish(response: Response) -> Response:
        _allow_origin(response, origins)
        _keep(response)
        return response


def secure(headers: Headers, hsts_seconds: int) -> None:
    """Put on an answer what tells browsers to be careful with it. `hsts_seconds`: how long TLS is to be kept to."""
    for name, value in SECURE.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
    if hsts_seconds:
        headers.setdefault("Strict-Transport-Security", f"max-age={hsts_seconds}")


def _refuse_large_body() -> None:
    # Also where no view reads the body.
    limit = request.max_content_length
    if limit is not None and (request.content_length or 0) > limit:
        raise RequestEntityTooLarge(f"the body is larger than {limit} bytes")


def _allow_origin(response: Response, origins: AllowedOrigins) -> None:
    if not origins.listed and not origins.is_open:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    if not origins.may_read(origin):
        return
    # Never with `Access-Control-Allow-Credentials`: what a cookie lets somebody see is for our own pages.
    response.headers["Access-Control-Allow-Origin"] = "*" if "*" in origins.listed else origin
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = _METHODS
        response.headers["Access-Control-Allow-Headers"] = _ASKED
        response.headers["Access-Control-Max-Age"] = "600"


def _keep(response: Response) -> None:
    if request.endpoint == "static" and response.status_code in (200, 206, 304):
        # An address that names the content may be kept for ever; any other is asked about each time (ETag, 304).
        named = "v" in request.args
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable" if named else "no-cache"


class _Versions:
    """Adds `?v=<hash of the content>` to the addresses of static files that templates print."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[float, str]] = {}

    def add(self, endpoint: str, values: dict[str, Any]) -> None:
        """Add the version unless the file is missing."""
        name = values.get("filename")
        if endpoint != "static" or not isinstance(name, str) or "v" in values:
            return
        try:
            changed = (self._folder / name).stat().st_mtime
            if self._known.get(name, (None, ""))[0] != changed:
                digest = hashlib.sha256((self._folder / name).read_bytes()).hexdigest()
                self._known[name] = (changed, digest[:16])
        except OSError:
            return
        values["v"] = self._known[name][1]
