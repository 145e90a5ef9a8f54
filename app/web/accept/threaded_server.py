"""Serves with a thread for each connection, by Werkzeug's server. Before the road, under `app/wsgi`."""

from __future__ import annotations

import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.accept.acceptor import start_acceptor
from swallowtail.app.web.accept.head_check import with_strict_head
from swallowtail.app.web.accept.read_deadline import ANSWERED, ReadDeadlines, hurry
from swallowtail.app.web.background.native_threads import NativeThreads

log = structlog.get_logger(__name__)


def serve_in_threads(listener: socket.socket, app: Flask, settings: Settings, keepalive: float) -> Callable[[], None]:
    """Serve from now on; returns how to stop."""
    web = app.extensions["swallowtail"]
    hashing = NativeThreads(settings.password_checks, threading, queue, lambda get: get())
    web.rt.passwords.offload = hashing.run
    readings = ReadDeadlines(settings.request_seconds, keepalive)

    class Server(ThreadedWSGIServer):
        daemon_threads = True

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                request.setblocking(True)
                super().process_request_thread(request, client_address)
            finally:
                front.left(client_address)

    def hand_over(sock: socket.socket, address: tuple[str, int], is_health: bool) -> None:
        try:
            server.process_request(sock, address)
        except RuntimeError as fault:
            # The system gives no thread more.
            log.warning("thread_refused", reason=str(fault))
            sock.close()
            front.left(address)

    def start(work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="gate", daemon=True).start()

    server = Server(
        settings.host, settings.port, _telling(app), _make_handler(readings, keepalive), fd=listener.fileno()
    )
    front = start_acceptor(
        *(listener, getattr(select, "epoll", None), lambda poller, seconds: poller.poll(seconds, 1), start),
        *(hand_over, web.limits, readings, settings),
    )
    threading.Thread(target=readings.run, args=(time.sleep,), name="readings", daemon=True).start()

    def stop() -> None:
        front.close()
        server.server_close()
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


def _make_handler(readings: ReadDeadlines, keepalive: float) -> type[WSGIRequestHandler]:
    class Handler(with_strict_head(hurry(WSGIRequestHandler, readings))):  # type: ignore[misc] # made at run time
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = keepalive

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Leave it out: requests are counted in the metrics."""

    return Handler
