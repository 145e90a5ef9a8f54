"""Serves with eventlet: a greenlet for each HTTP request, and one event loop for websockets."""

from __future__ import annotations

import socket as sockets
from collections.abc import Callable
from typing import Any

import eventlet
import structlog
from eventlet import greenio, hubs, patcher, tpool, wsgi
from flask import Flask

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.offload import Offloads
from swallowtail.app.web.accept.acceptor import start_acceptor
from swallowtail.app.web.accept.http_server_handlers import make_eventlet_handler
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.served_connections import ServedConnections
from swallowtail.app.web.background.native_threads import NativeThreads
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.serving.listener import KEEPALIVE
from swallowtail.app.web.websocket.event_loop import EventLoop

log = structlog.get_logger(__name__)

#: Seconds that one read or write of a request may take. Websockets have limits of their own, from the ping settings.
REQUEST_TIMEOUT = 60


def make_offloads(settings: Settings) -> Offloads:
    """Compute passwords and payloads in native threads: they take many milliseconds, in which no greenlet runs."""
    threading, queue = patcher.original("threading"), patcher.original("queue")
    hashing = NativeThreads(settings.password_checks, threading, queue, tpool.execute)
    return Offloads(hashing.run, tpool.execute)


def make_loop() -> EventLoop | None:
    """Return the event loop of this process; None on a system without epoll."""
    epoll = getattr(patcher.original("select"), "epoll", None)
    if epoll is None:
        log.info("stock_engine", reason="the system has no epoll")
        return None
    poller = epoll()
    return EventLoop(poller, _DescriptorWait(poller.fileno()).wait, eventlet.spawn_n)


def serve(listener: Any, loop: EventLoop | None, app: Flask, settings: Settings) -> Callable[[], None]:
    """Serve from now on; returns a function that stops accepting connections."""
    web: WebContainer = app.extensions["swallowtail"]
    requests, health = (_QueueListener(listener) for _ in range(2))

    def dispatch(sock: Any, address: tuple[str, int], is_health: bool) -> None:
        green = sock if isinstance(sock, greenio.GreenSocket) else greenio.GreenSocket(sock)
        (health if is_health else requests).queue.put((green, address))

    deadlines = ReadDeadlines(settings.request_seconds, KEEPALIVE)
    served = ServedConnections(web.limits, deadlines)
    protocol = make_eventlet_handler(wsgi.HttpProtocol, deadlines, _end_http, served.remove)
    # The acceptor admits at most max_connections; connections that are being closed overlap with new ones.
    _start_wsgi_server(requests, app, protocol, 2 * settings.max_connections, KEEPALIVE)
    # A health request is answered once, so that its connection does not occupy a reserved place.
    _start_wsgi_server(health, app, protocol, settings.health_reserve, 0)
    eventlet.spawn(deadlines.run, eventlet.sleep)
    if web.engine is not None:
        web.engine.start()
    accepted_from: sockets.socket = listener if loop is None else listener.fd
    close = start_acceptor(accepted_from, loop, web.engine, dispatch, served, web.limits, settings, eventlet.spawn_n)

    def stop() -> None:
        # The WSGI servers continue: if they ended, their connections would end before clients get the restart notice.
        close()
        listener.close()

    return stop


def _end_http() -> None:
    wsgi.WSGI_LOCAL.already_handled = True


def _start_wsgi_server(listener: _QueueListener, app: Flask, protocol: type[Any], size: int, keepalive: float) -> None:
    eventlet.spawn(
        wsgi.server,
        listener,
        app,
        max_size=size,
        keepalive=keepalive,
        socket_timeout=REQUEST_TIMEOUT,
        log_output=False,
        protocol=protocol,
        # Otherwise a traceback is sent to the client.
        debug=False,
    )


class _QueueListener:
    """Passes accepted connections to a WSGI server that expects a listening socket."""

    def __init__(self, listener: Any) -> None:
        self.queue = eventlet.Queue()
        self.family = listener.family
        self.getsockname = listener.getsockname
        self.accept = self.queue.get

    def close(self) -> None:
        """Do nothing: the acceptor closes the real listening socket."""


class _DescriptorWait:
    """Lets one greenlet wait for a descriptor again and again, with one registration and one timer in eventlet's hub.

    The library's own wait registers the descriptor and a timer anew each time, which costs more than sending a message
    to a dozen clients.
    """

    def __init__(self, fd: int) -> None:
        self._hub = hubs.get_hub()
        self._sleeper: Any = None
        self._timer: Any = None
        self._due = 0.0
        self._hub.add(self._hub.READ, fd, self._wake, self._wake, lambda: None)

    def wait(self, seconds: float) -> None:
        """Return once the descriptor is ready or the time is over. May return early."""
        due = self._hub.clock() + seconds
        if self._timer is None or due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due, self._timer = due, self._hub.schedule_call_global(seconds, self._time_out)
        self._sleeper = eventlet.getcurrent()
        self._hub.switch()

    def _time_out(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self, *_: Any) -> None:
        # The greenlet may be waiting elsewhere. Then the descriptor stays ready and the next wait returns at once.
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            sleeper.switch()
