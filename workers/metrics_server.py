"""Serves `GET /metrics` of a worker or of beat, with the same access rules as a web process.

The worker's sweeper process and beat call `serve` if a port is set.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import make_wsgi_app

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.errors import Forbidden, SwallowtailError, Unauthenticated
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import ANONYMOUS, OPEN, Actor
from swallowtail.app.core.security.permissions import require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.workers import metrics

if TYPE_CHECKING:
    from swallowtail.app.core.identity.authenticate import Tokens

log = structlog.get_logger(__name__)

#: How often a port in use is tried again, in seconds: a worker that is ending may still have it.
RETRY_SECONDS = 2.0
#: How long a connection may be idle, in seconds.
IDLE_SECONDS = 30.0

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _MetricsServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _MetricsRequestHandler(WSGIRequestHandler):
    timeout = IDLE_SECONDS

    def log_message(self, *_: Any, **__: Any) -> None:
        """Log nothing: requests come all day."""


def serve(runtime: Runtime, port: int) -> None:
    """Serve the metrics on a port from now on, waiting for one in use; 0 serves nothing."""
    if port:
        arguments = (runtime.settings.metrics_host, port, make_application(runtime))
        threading.Thread(target=_serve, args=arguments, name="metrics", daemon=True).start()


def make_application(runtime: Runtime) -> Application:
    """Return the WSGI application that authenticates the caller as a web process does, and answers with the metrics."""
    # Imported only where metrics are served: it takes longer than everything else in the sweeper process.
    from swallowtail.app.core.identity.authenticate import Tokens

    tokens = Tokens(runtime)
    metrics_app: Application = make_wsgi_app(metrics.collect())

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            return _refuse(start_response, "404 Not Found", "only /metrics is served here")
        try:
            require_outside(_identify(environ, tokens), Act.READ_METRICS)
        except Unauthenticated as error:
            return _refuse(start_response, "401 Unauthorized", error.message, ("WWW-Authenticate", "Bearer"))
        except Forbidden as error:
            return _refuse(start_response, "403 Forbidden", error.message)
        except SwallowtailError as error:
            return _refuse(start_response, "503 Service Unavailable", error.message)
        return metrics_app(environ, start_response)

    return answer


def _identify(environ: dict[str, Any], tokens: Tokens) -> Actor:
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return tokens.read(token.strip())
    # Open access is limited to this machine.
    return OPEN if tokens.settings.is_open and is_loopback(tokens.settings.metrics_host) else ANONYMOUS


def _refuse(start_response: Callable[..., Any], status: str, reason: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [f"{reason}\n".encode()]


def _serve(host: str, port: int, application: Application) -> None:
    """Listen and serve for ever. The first time that the address is not available is logged."""
    is_logged = False
    while True:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            server = type("Server", (_MetricsServer,), {"address_family": family})((host, port), _MetricsRequestHandler)
            break
        except OSError as error:
            if not is_logged:
                log.warning("metrics_not_served", host=host, port=port, reason=error.strerror or str(error))
            is_logged = True
            time.sleep(RETRY_SECONDS)
    server.set_app(application)
    log.info("metrics_served", host=host, port=port)
    server.serve_forever()
