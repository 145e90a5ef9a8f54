"""Checks host, origin and proxies of each request and websocket, before Flask and Socket.IO.

WSGI requests, long polling and the library's own websockets pass `wrap`. For websockets that `web/accept/acceptor`
takes, `web/engineio/fast_engine` calls `apply_proxies` and `find_refusal` itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog
from werkzeug.datastructures import Headers

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.http.allowed_hosts import AllowedHosts
from swallowtail.app.web.http.cors import AllowedOrigins
from swallowtail.app.web.http.problem_details import KINDS, MEDIA_TYPE, ProblemKind, describe_problem
from swallowtail.app.web.http.security_headers import add_security_headers
from swallowtail.app.web.http.trusted_proxies import PREFIX, TrustedProxies, find_proxy_trace

log = structlog.get_logger(__name__)

#: Key in the environment: what shows that a request to an open server came through a proxy.
_PROXY_TRACE = "swallowtail.proxy_trace"
#: Most rejected origins that are logged.
_MAX_LOGGED = 100


#: Why a request is rejected: a kind of problem, and its detail.
Refusal = tuple[ProblemKind, str]


class RequestGuard:
    """The checks of one web process."""

    def __init__(self, settings: Settings) -> None:
        self._is_open = settings.is_open
        self._hosts = AllowedHosts(settings)
        self.proxies = TrustedProxies(settings.trusted_proxies)
        self.origins = AllowedOrigins(settings)
        self._prefix = settings.url_prefix
        self._logged: set[str] = set()
        self._hsts_seconds = settings.hsts_seconds

    def apply_proxies(self, environ: dict[str, Any]) -> None:
        """Put the client's own address, scheme and path prefix into a WSGI environment."""
        if self._is_open and (trace := find_proxy_trace(environ)) is not None:
            # Recorded before the headers are removed.
            environ[_PROXY_TRACE] = trace
        self.proxies.apply(environ)
        set_script_name(environ, environ.pop(PREFIX, None) or self._prefix)

    def find_refusal(self, environ: dict[str, Any]) -> Refusal | None:
        """Return why to reject a request; None to accept it. Call `apply_proxies` first."""
        if _PROXY_TRACE in environ:
            kind = KINDS["not_from_here"]
            detail = f"{environ[_PROXY_TRACE]}: this server accepts local requests only, without sign-in. {kind.remedy}"
            return kind, detail
        host = environ.get("HTTP_HOST")
        if not self._hosts.allows(host):
            return KINDS["unknown_host"], f"this server is not called {(host or '(no name)')[:200]}"
        if _is_jsonp(environ):
            return KINDS["bad_request"], "JSONP is not supported: pages of any origin can read a script"
        if self.origins.rejects(environ):
            self._log_origin(environ["HTTP_ORIGIN"][:200])
            return KINDS["foreign_origin"], f"the origin {environ['HTTP_ORIGIN'][:200]} is not allowed"
        return None

    def _log_origin(self, origin: str) -> None:
        """Log an origin once: its page sees only a failed request, and may retry often."""
        if origin not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add(origin)
            log.warning("origin_refused", origin=origin, remedy="add it to SWALLOWTAIL_CORS_ORIGINS if it is yours")

    def wrap(self, app: Any) -> Any:
        """Return a WSGI application that rejects bad requests and adds the security headers to every response."""

        def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            self.apply_proxies(environ)
            is_tls = environ["wsgi.url_scheme"] == "https"

            def start(status: str, response_headers: list[tuple[str, str]], *more: Any) -> Any:
                headers = Headers(response_headers)
                add_security_headers(headers, self._hsts_seconds if is_tls else 0)
                return start_response(status, headers.to_wsgi_list(), *more)

            refusal = self.find_refusal(environ)
            return app(environ, start) if refusal is None else _respond(*refusal, start)

        return serve


def set_script_name(environ: dict[str, Any], prefix: str) -> None:
    """Set the path prefix of the application, whether or not a proxy has removed it from the path."""
    if not prefix:
        return
    path = environ.get("PATH_INFO") or ""
    environ["SCRIPT_NAME"] = prefix
    if path == prefix or path.startswith(f"{prefix}/"):
        environ["PATH_INFO"] = path[len(prefix) :] or "/"


def _is_jsonp(environ: dict[str, Any]) -> bool:
    """Return whether a poll asks for a script as its response, which pages of any origin could run."""
    query = environ.get("QUERY_STRING") or ""
    return (environ.get("PATH_INFO") or "").startswith("/socket.io") and "j" in parse_qs(query, keep_blank_values=True)


def _respond(kind: ProblemKind, detail: str, start: Any) -> Iterable[bytes]:
    log.debug("request_rejected", code=kind.code, detail=detail)
    body = orjson.dumps(describe_problem(kind, detail))
    status = f"{kind.status} {kind.title}"
    start(status, [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body)))])
    return [body]
