"""Serves with gevent: a greenlet for each connection."""

from __future__ import annotations

import socket as sockets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Flask
from gevent import sleep, spawn
from gevent.monkey import get_original
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.socket import wait_read
from gevent.threadpool import ThreadPool

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.worker_thread import Offloads
from swallowtail.app.web.accept.acceptor import start_acceptor
from swallowtail.app.web.accept.gevent_handler import make_gevent_handler
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.serving.listener import KEEPALIVE


def make_offloads(settings: Settings) -> Offloads:
    """Compute passwords and payloads in a pool of native threads."""
    threads = ThreadPool(settings.password_checks)

    def offload(work: Callable[..., Any], /, *arguments: Any) -> Any:
        return threads.apply(work, arguments)

    return Offloads(offload, offload)


def serve(listener: sockets.socket, app: Flask, settings: Settings) -> Callable[[], None]:
    """Serve from now on; returns a function that stops accepting connections."""
    web: WebContainer = app.extensions["swallowtail"]
    deadlines = ReadDeadlines(settings.request_seconds, KEEPALIVE)
    handler = make_gevent_handler(WSGIHandler, deadlines, KEEPALIVE)
    answer_once = _close_after_one_request(handler)
    server = WSGIServer(listener, app, handler_class=handler, log=None)
    server.init_socket()

    def handle(sock: Any, address: tuple[str, int], is_health: bool) -> None:
        try:
            (answer_once if is_health else handler)(sock, address, server).handle()
        finally:
            sock.close()
            acceptor.connection_closed(address)

    def dispatch(*connection: Any) -> None:
        spawn(handle, *connection)

    acceptor = start_acceptor(listener, _find_epoll(), _wait, spawn, dispatch, web.limits, deadlines, settings)
    spawn(deadlines.run, sleep)

    def stop() -> None:
        acceptor.close()
        listener.close()

    return stop


def _close_after_one_request(handler: type[Any]) -> type[Any]:
    """Return the handler for health requests, whose connections do not occupy a reserved place."""

    class AnswerOnce(handler):  # type: ignore[misc] # the library has no types
        def handle_one_request(self) -> Any:
            answer = super().handle_one_request()
            return None if answer is True else answer

    return AnswerOnce


def _find_epoll() -> Any:
    try:
        return get_original("select", "epoll")
    except AttributeError:
        return None


def _wait(poller: Any, seconds: float) -> None:
    with suppress(TimeoutError):
        wait_read(poller.fileno(), seconds, TimeoutError())
