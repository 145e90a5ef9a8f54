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
from swallowtail.app.core.process.offload import Offloads
from swallowtail.app.web.accept.acceptor import start_acceptor
from swallowtail.app.web.accept.http_server_handlers import make_werkzeug_handler, report_responses
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.served_connections import ServedConnections
from swallowtail.app.web.background.native_threads import NativeThreads
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.serving.listener import KEEPALIVE
from swallowtail.app.web.websocket.event_loop import EventLoop

log = structlog.get_logger(__name__)


class _ThreadedServer(ThreadedWSGIServer):
    daemon_threads = True

    def __init__(self, settings: Settings, app: Any, handler: Any, fd: int, served: ServedConnections) -> None:
        super().__init__(settings.host, settings.port, app, handler, fd=fd)
        self._served = served

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            request.setblocking(True)
            super().process_request_thread(request, client_address)
        finally:
            self._served.remove(client_address)

    def dispatch(self, sock: socket.socket, address: tuple[str, int], is_health: bool) -> None:
        try:
            self.process_request(sock, address)
        except RuntimeError as error:
            # The system starts no more threads.
            log.warning("thread_refused", reason=str(error))
            sock.close()
            self._served.remove(address)


def make_offloads(settings: Settings) -> Offloads:
    """Compute passwords in a few threads, which keep the memory that a hash takes."""
    return Offloads(NativeThreads(settings.password_checks, threading, queue, lambda get: get()).run)


def make_loop() -> EventLoop | None:
    """Return the event loop of this process; None on a system without epoll."""
    epoll = getattr(select, "epoll", None)
    if epoll is None:
        return None
    poller = epoll()
    return EventLoop(poller, lambda seconds: poller.poll(seconds, 1), _start_thread)


def serve(listener: socket.socket, loop: EventLoop | None, app: Flask, settings: Settings) -> Callable[[], None]:
    """Serve from now on; returns a function that stops accepting connections."""
    web: WebContainer = app.extensions["swallowtail"]
    deadlines = ReadDeadlines(settings.request_seconds, KEEPALIVE)
    served = ServedConnections(web.limits, deadlines)
    handler = make_werkzeug_handler(deadlines, KEEPALIVE)
    server = _ThreadedServer(settings, report_responses(app), handler, listener.fileno(), served)
    close = start_acceptor(listener, loop, None, server.dispatch, served, web.limits, settings, _start_thread)
    threading.Thread(target=deadlines.run, args=(time.sleep,), name="read deadlines", daemon=True).start()

    def stop() -> None:
        close()
        server.server_close()
        listener.close()

    return stop


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="acceptor", daemon=True).start()
