"""Serves with a thread for each connection, by Werkzeug's server. Before the road, under `app/wsgi`."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from app.core.settings import Settings
from app.web.limits import TOO_MANY_HERE, Limits
from app.web.native_threads import NativeThreads
from app.web.readings import ANSWERED, Readings, hurry
from app.web.request_head import read_strictly


def serve_in_threads(listener: socket.socket, app: Flask, settings: Settings, keepalive: float) -> Callable[[], None]:
    """Serve from now on; returns how to stop."""
    web = app.extensions["swallowtail"]
    hashing = NativeThreads(settings.password_checks, threading, queue, lambda get: get())
    web.rt.passwords.offload = hashing.run
    readings = Readings(settings.request_seconds, keepalive)
    limits: Limits = web.limits

    class Server(ThreadedWSGIServer):
        daemon_threads = True

        def verify_request(self, request: Any, client_address: Any) -> bool:
            if limits.hold(client_address[0]):
                return True
            with suppress(OSError):
                request.send(TOO_MANY_HERE)
            request.close()
            return False

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                limits.release(client_address[0])

    handler = _make_handler(readings, keepalive)
    server = Server(settings.host, settings.port, _telling(app), handler, fd=listener.fileno())
    threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
    threading.Thread(target=readings.run, args=(time.sleep,), name="readings", daemon=True).start()

    def stop() -> None:
        server.shutdown()
        listener.close()

    return stop


def _telling(app: Any) -> Any:
    """Return the application, which says when it has answered: the server reads on then, whatever comes."""

    def serve(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        answer = app(environ, start_response)
        try:
            yield from answer
        finally:
            if hasattr(answer, "close"):
                answer.close()
            environ[ANSWERED]()

    return serve


def _make_handler(readings: Readings, keepalive: float) -> type[WSGIRequestHandler]:
    class Handler(read_strictly(hurry(WSGIRequestHandler, readings))):  # type: ignore[misc] # made at run time
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = keepalive

        def run_wsgi(self) -> None:
            super().run_wsgi()
            if self.headers.get("Upgrade"):
                # What was a websocket carries no further request.
                self.close_connection = True

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Leave it out: requests are counted in the metrics."""

    return Handler
