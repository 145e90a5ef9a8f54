"""Serves with one thread per connection, on Werkzeug's server."""

from __future__ import annotations

import queue
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask
from werkzeug.serving import ThreadedWSGIServer

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.accept.acceptor import start_acceptor
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.werkzeug_handler import make_werkzeug_handler, report_responses
from swallowtail.app.web.background.native_threads import NativeThreads

log = structlog.get_logger(__name__)


def serve_in_threads(listener: socket.socket, app: Flask, settings: Settings, keepalive: float) -> Callable[[], None]:
    """Serve from now on; return the function that stops."""
    web = app.extensions["swallowtail"]
    hashing = NativeThreads(settings.password_checks, threading, queue, lambda get: get())
    web.rt.passwords.offload = hashing.run
    deadlines = ReadDeadlines(settings.request_seconds, keepalive)

    class Server(ThreadedWSGIServer):
        daemon_threads = True

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                request.setblocking(True)
                super().process_request_thread(request, client_address)
            finally:
                acceptor.connection_closed(client_address)

    def dispatch(sock: socket.socket, address: tuple[str, int], is_health: bool) -> None:
        try:
            server.process_request(sock, address)
        except RuntimeError as error:
            # The system cannot start another thread.
            log.warning("thread_refused", reason=str(error))
            sock.close()
            acceptor.connection_closed(address)

    def start(work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="acceptor", daemon=True).start()

    handler = make_werkzeug_handler(deadlines, keepalive)
    server = Server(settings.host, settings.port, report_responses(app), handler, fd=listener.fileno())
    acceptor = start_acceptor(
        *(listener, getattr(select, "epoll", None), lambda poller, seconds: poller.poll(seconds, 1), start),
        *(dispatch, web.limits, deadlines, settings),
    )
    threading.Thread(target=deadlines.run, args=(time.sleep,), name="read-deadlines", daemon=True).start()

    def stop() -> None:
        acceptor.close()
        server.server_close()
        listener.close()

    return stop
