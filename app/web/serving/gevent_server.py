"""Serves with gevent: a greenlet for each connection."""

from __future__ import annotations

import socket as sockets
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from flask import Flask
from gevent import sleep, spawn
from gevent.monkey import get_original
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.socket import wait_read
from gevent.threadpool import ThreadPool

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.offload import Offloads
from swallowtail.app.web.accept.acceptor import start_acceptor
from swallowtail.app.web.accept.gevent_handler import make_gevent_handler
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.served_connections import ServedConnections
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.serving.listener import KEEPALIVE
from swallowtail.app.web.websocket.event_loop import EventLoop


def make_offloads(settings: Settings) -> Offloads:
    """Compute passwords and payloads in a pool of native threads."""
    threads = ThreadPool(settings.password_checks)

    def offload(work: Callable[..., Any], /, *arguments: Any) -> Any:
        return threads.apply(work, arguments)

    return Offloads(offload, offload)


def make_loop() -> EventLoop | None:
    """Return the event loop of this process; None on a system without epoll."""
    try:
        poller = get_original("select", "epoll")()
    except AttributeError:
        return None
    return EventLoop(poller, partial(_wait, poller.fileno()), spawn)


def serve(listener: sockets.socket, loop: EventLoop | None, app: Flask, settings: Settings) -> Callable[[], None]:
    """Serve from now on; returns a function that stops accepting connections."""
    web: WebContainer = app.extensions["swallowtail"]
    deadlines = ReadDeadlines(settings.request_seconds, KEEPALIVE)
    served = ServedConnections(web.limits, deadlines)
    handler = make_gevent_handler(WSGIHandler, deadlines, KEEPALIVE)
    answer_once = _close_after_one_request(handler)
    server = WSGIServer(listener, app, handler_class=handler, log=None)
    server.init_socket()

    def handle(sock: Any, address: tuple[str, int], is_health: bool) -> None:
        try:
            (answer_once if is_health else handler)(sock, address, server).handle()
        finally:
            sock.close()
            served.remove(address)

    dispatch = partial(spawn, handle)
    close = start_acceptor(listener, loop, None, dispatch, served, web.limits, settings, spawn)
    spawn(deadlines.run, sleep)

    def stop() -> None:
        close()
        listener.close()

    return stop


def _close_after_one_request(handler: type[Any]) -> type[Any]:
    """Return the handler for health requests, whose connections do not occupy a reserved place."""

    class AnswerOnce(handler):  # type: ignore[misc] # the library has no types
        def handle_one_request(self) -> Any:
            answer = super().handle_one_request()
            return None if answer is True else answer

    return AnswerOnce


def _wait(fd: int, seconds: float) -> None:
    with suppress(TimeoutError):
        wait_read(fd, seconds, TimeoutError())
