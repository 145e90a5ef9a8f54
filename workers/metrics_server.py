"""`GET /metrics` of a worker and of beat, for those to whom a web process would show its own. Beside the road.

Served by the worker's reaper, and by beat, once it has a port.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from functools import partial
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import make_wsgi_app

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Forbidden, SwallowtailError, Unauthenticated
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.permissions import NOBODY, OPEN, Act, Actor, require_outside
from swallowtail.workers import metrics

if TYPE_CHECKING:
    from swallowtail.app.core.identity.authenticate import Tokens

log = structlog.get_logger(__name__)

#: How often a port that is taken is tried again, in seconds: it may be that of a worker that is about to end.
RETRY_SECONDS = 2.0
#: How long a connection may be silent, in seconds.
PATIENCE = 30.0

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, *_: Any, **__: Any) -> None:
        """Say nothing: whoever scrapes does so all day."""


def serve(runtime: Runtime, port: int) -> None:
    """Serve the numbers on a port from now on; 0 for not at all. One that is taken is waited for; nothing ends."""
    if not port:
        return
    application = make_application(runtime)
    if not _open(runtime.settings, port, application):
        again = partial(_open_later, runtime.settings, port, application)
        threading.Thread(target=again, name="metrics", daemon=True).start()


def make_application(runtime: Runtime) -> Application:
    """Return the WSGI application that asks who asks, as a web process does, and answers with the numbers."""
    # Only where something is served: to load what reads tokens takes a worker longer than the rest of its reaper.
    from swallowtail.app.core.identity.authenticate import Tokens

    tokens = Tokens(runtime)
    numbers: Application = make_wsgi_app(metrics.collect())

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            return _refuse(start_response, "404 Not Found", "there is only /metrics here")
        try:
            require_outside(_identify(environ, tokens), Act.READ_METRICS)
        except Unauthenticated as nobody:
            return _refuse(start_response, "401 Unauthorized", nobody.message, ("WWW-Authenticate", "Bearer"))
        except Forbidden as refusal:
            return _refuse(start_response, "403 Forbidden", refusal.message)
        except SwallowtailError as away:
            return _refuse(start_response, "503 Service Unavailable", away.message)
        return numbers(environ, start_response)

    return answer


def _identify(environ: dict[str, Any], tokens: Tokens) -> Actor:
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return tokens.read(token.strip())
    # What is open is so on this machine only.
    return OPEN if tokens.settings.is_open and is_loopback(tokens.settings.metrics_host) else NOBODY


def _refuse(start_response: Callable[..., Any], status: str, why: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [f"{why}\n".encode()]


def _open(settings: Settings, port: int, application: Application, *, is_first: bool = True) -> bool:
    """Listen and serve from now on; False when the address cannot be had, which is said the first time."""
    host = settings.metrics_host
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        kind = type("Server", (_Server,), {"address_family": family})
        server = kind((host, port), _Handler)
    except OSError as fault:
        if is_first:
            log.warning("metrics_not_served", host=host, port=port, reason=fault.strerror or str(fault))
        return False
    server.set_app(application)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    log.info("metrics_served", host=host, port=port)
    return True


def _open_later(settings: Settings, port: int, application: Application) -> None:
    pause = threading.Event()
    while not _open(settings, port, application, is_first=False):
        pause.wait(RETRY_SECONDS)
