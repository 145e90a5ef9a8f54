"""Adds headers to every response: browser security, CORS, and caching."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from swallowtail.app.web.http.cors import AllowedOrigins

#: A view that needs another value sets the header itself.
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
_ALLOWED_HEADERS = "Content-Type, Idempotency-Key, Authorization"
_EXPOSED = "Location, Retry-After"
_YEAR = 365 * 24 * 3600


def register(app: Flask, origins: AllowedOrigins) -> None:
    """Add CORS and cache headers to every response, and reject bodies whose declared length is too large."""
    versions = _Versions(Path(app.static_folder or "static"))
    app.before_request(_refuse_large_body)
    app.url_defaults(versions.add)

    @app.after_request
    def finish(response: Response) -> Response:
        _allow_origin(response, origins)
        _set_cache(response)
        return response


def add_security_headers(headers: Headers, hsts_seconds: int) -> None:
    """Add the security headers to a response. `hsts_seconds`: how long browsers have to use TLS; 0 for no rule."""
    for name, value in SECURE.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
    if hsts_seconds:
        headers.setdefault("Strict-Transport-Security", f"max-age={hsts_seconds}")


def _refuse_large_body() -> None:
    # Also for views that do not read the body.
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
    # Never with `Access-Control-Allow-Credentials`: session cookies are for our own pages only.
    response.headers["Access-Control-Allow-Origin"] = "*" if "*" in origins.listed else origin
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = _METHODS
        response.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = "600"


def _set_cache(response: Response) -> None:
    if request.endpoint == "static" and response.status_code in (200, 206, 304):
        # A URL with a content hash may be cached for ever; any other is revalidated each time (ETag, 304).
        is_versioned = "v" in request.args
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable" if is_versioned else "no-cache"


class _Versions:
    """Adds `?v=<hash of the content>` to the URLs of static files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[str, tuple[float, str]] = {}

    def add(self, endpoint: str, values: dict[str, Any]) -> None:
        name = values.get("filename")
        if endpoint != "static" or not isinstance(name, str) or "v" in values:
            return
        try:
            modified = (self._folder / name).stat().st_mtime
            if self._hashes.get(name, (None, ""))[0] != modified:
                digest = hashlib.sha256((self._folder / name).read_bytes()).hexdigest()
                self._hashes[name] = (modified, digest[:16])
        except OSError:
            return
        values["v"] = self._hashes[name][1]
