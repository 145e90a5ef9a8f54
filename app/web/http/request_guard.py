"""What every request and every websocket passes first: where it is from, whom it is for, which page sent it.

Before the road, and outside of Flask: long polling and the library's own websockets come through `around`; those that
`web/accept/acceptor` takes are asked about by `web/engineio/fast_engine`, with the same `settle` and `find_refusal`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog
from werkzeug.datastructures import Headers

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.http.allowed_hosts import AllowedHosts
from swallowtail.app.web.http.cors import AllowedOrigins
from swallowtail.app.web.http.problem_details import KINDS, MEDIA_TYPE, ProblemKind, describe_problem
from swallowtail.app.web.http.security_headers import secure
from swallowtail.app.web.http.trusted_proxies import PREFIX, TrustedProxies, find_proxy_trace

log = structlog.get_logger(__name__)

#: Where an environment keeps what tells that a request to an open server took a detour.
_DETOUR = "swallowtail.detour"


#: Refused origins that are logged.
_MOST_NOTED = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not let in."""

    kind: ProblemKind
    detail: str


class RequestGuard:
    """The door of one web process."""

    def __init__(self, settings: Settings) -> None:
        self._is_open = settings.is_open
        self._hosts = AllowedHosts(settings)
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._origins = AllowedOrigins(settings)
        self._prefix = settings.url_prefix
        self._noted: set[str] = set()
        self._hsts_seconds = settings.hsts_seconds

    def settle(self, environ: dict[str, Any]) -> None:
        """Put the caller's own address and scheme into a WSGI environment."""
        if self._is_open and (detour := find_proxy_trace(environ)) is not None:
            # Noted before it is removed.
            environ[_DETOUR] = detour
        self._proxies.settle(environ)
        set_script_name(environ, environ.pop(PREFIX, None) or self._prefix)

    def find_refusal(self, environ: dict[str, Any]) -> Refusal | None:
        """Return why a request that is settled is not let in; None when it is."""
        if _DETOUR in environ:
            kind = KINDS["not_from_here"]
            return Refusal(
                kind, f"{environ[_DETOUR]}: this server lets anybody of this machine in, and nobody else. {kind.remedy}"
            )
        host = environ.get("HTTP_HOST")
        if not self._hosts.admits(host):
            return Refusal(KINDS["unknown_host"], f"this server does not answer for {(host or 'no name')[:200]}")
        if _is_jsonp(environ):
            return Refusal(KINDS["bad_request"], "JSONP is not served: a script may be read by any page")
        if self._origins.refuses(environ):
            self._note_origin(environ["HTTP_ORIGIN"][:200])
            return Refusal(KINDS["foreign_origin"], f"pages of {environ['HTTP_ORIGIN'][:200]} may not do this here")
        return None

    def _note_origin(self, origin: str) -> None:
        """Log an origin once: its page sees nothing but a failed request, and asks again and again."""
        if origin not in self._noted and len(self._noted) < _MOST_NOTED:
            self._noted.add(origin)
            log.warning("origin_refused", origin=origin, remedy="list it in SWALLOWTAIL_CORS_ORIGINS if it is yours")

    def around(self, app: Any) -> Any:
        """Return a WSGI application that lets in what may come in, and puts the headers of care on every answer."""

        def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            self.settle(environ)
            is_safe = environ["wsgi.url_scheme"] == "https"

            def start(status: str, given: list[tuple[str, str]], *more: Any) -> Any:
                headers = Headers(given)
                secure(headers, self._hsts_seconds if is_safe else 0)
                return start_response(status, headers.to_wsgi_list(), *more)

            refusal = self.find_refusal(environ)
            return app(environ, start) if refusal is None else _answer(refusal, start)

        return serve


def set_script_name(environ: dict[str, Any], prefix: str) -> None:
    """Say where the application is, when it is reached under a path, whether or not a proxy has taken that off."""
    if not prefix:
        return
    path = environ.get("PATH_INFO") or ""
    environ["SCRIPT_NAME"] = prefix
    if path == prefix or path.startswith(f"{prefix}/"):
        environ["PATH_INFO"] = path[len(prefix) :] or "/"


def _is_jsonp(environ: dict[str, Any]) -> bool:
    """Tell whether a poll asks for an answer that is a script: those run in pages of any origin."""
    query = environ.get("QUERY_STRING") or ""
    return (environ.get("PATH_INFO") or "").startswith("/socket.io") and "j" in parse_qs(query, keep_blank_values=True)


def _answer(refusal: Refusal, start: Any) -> Iterable[bytes]:
    log.debug("refused_at_the_door", code=refusal.kind.code, detail=refusal.detail)
    body = orjson.dumps(describe_problem(refusal.kind, refusal.detail))
    status = f"{refusal.kind.status} {refusal.kind.title}"
    start(status, [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body)))])
    return [body]
