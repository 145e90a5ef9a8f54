"""Serves with a thread for each connection, on Werkzeug's server."""

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
from swallowtail.app.core.process.worker_thread import Offloads
from swallowtail.app.web.accept.acceptor import start_acceptor
from swallowtail.app.web.accept.blocking_acceptor import Acceptor
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.werkzeug_handler import make_werkzeug_handler, report_responses
from swallowtail.app.web.background.native_threads import NativeThreads
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.serving.listener import KEEPALIVE

log = structlog.get_logger(__name__)


class _Server(ThreadedWSGIServer):
    daemon_threads = True
    acceptor: Acceptor

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            request.setblocking(True)
            super().process_request_thread(request, client_address)
        finally:
            self.acceptor.connection_closed(client_address)

    def dispatch(self, sock: socket.socket, address: tuple[str, int], is_health: bool) -> None:
        """Serve an accepted connection in a thread of its own."""
        try:
            self.process_request(sock, address)
        except RuntimeError as error:
            # The system starts no more threads.
            log.warning("thread_refused", reason=str(error))
            sock.close()
            self.acceptor.connection_closed(address)


def make_offloads(settings: Settings) -> Offloads:
    """Compute passwords in a few threads, which keep the memory that a hash takes."""
    return Offloads(NativeThreads(settings.password_checks, threading, queue, lambda get: get()).run)


def serve(listener: socket.socket, app: Flask, settings: Settings) -> Callable[[], None]:
    """Serve from now on; returns a function that stops accepting connections."""
    web: WebContainer = app.extensions["swallowtail"]
    deadlines = ReadDeadlines(settings.request_seconds, KEEPALIVE)
    handler = make_werkzeug_handler(deadlines, KEEPALIVE)
    server = _Server(settings.host, settings.port, report_responses(app), handler, fd=listener.fileno())
    epoll = getattr(select, "epoll", None)
    server.acceptor = start_acceptor(
        listener, epoll, _wait, _start_thread, server.dispatch, web.limits, deadlines, settings
    )
    threading.Thread(target=deadlines.run, args=(time.sleep,), name="read deadlines", daemon=True).start()

    def stop() -> None:
        server.acceptor.close()
        server.server_close()
        listener.close()

    return stop


def _wait(poller: Any, seconds: float) -> None:
    poller.poll(seconds, 1)


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="acceptor", daemon=True).start()
