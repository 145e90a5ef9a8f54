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
from swallowtail.app.core.process.worker_thread import Offloads
from swallowtail.app.web.accept.acceptor import PeekingAcceptor
from swallowtail.app.web.accept.blocking_acceptor import Acceptor, BlockingAcceptor
from swallowtail.app.web.accept.eventlet_handler import make_eventlet_handler
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.wsgi_listener import QueueListener
from swallowtail.app.web.background.native_threads import NativeThreads
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.engineio import fast_engine
from swallowtail.app.web.serving.listener import KEEPALIVE
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.app.web.websocket.eventlet_wait import DescriptorWait

log = structlog.get_logger(__name__)

#: Seconds that one read or write of a request may take. Websockets have limits of their own, from the ping settings.
REQUEST_TIMEOUT = 60

Dispatch = Callable[[Any, tuple[str, int], bool], None]


def serve(listener: sockets.socket, app: Flask, settings: Settings) -> Callable[[], None]:
    """Serve from now on; returns a function that stops accepting connections."""
    web: WebContainer = app.extensions["swallowtail"]
    requests, health = (QueueListener(listener, eventlet.Queue()) for _ in range(2))

    def dispatch(sock: Any, address: tuple[str, int], is_health: bool) -> None:
        green = sock if isinstance(sock, greenio.GreenSocket) else greenio.GreenSocket(sock)
        (health if is_health else requests).queue.put((green, address))

    deadlines = ReadDeadlines(settings.request_seconds, KEEPALIVE)
    acceptor = _start_acceptor(listener, web, settings, deadlines, dispatch)
    protocol = make_eventlet_handler(wsgi.HttpProtocol, deadlines, _end_http, acceptor.connection_closed)
    # The acceptor admits at most max_connections; connections that are being closed overlap with new ones.
    _start_wsgi_server(requests, app, protocol, 2 * settings.max_connections, KEEPALIVE)
    # A health request is answered once, so that its connection does not occupy a reserved place.
    _start_wsgi_server(health, app, protocol, settings.health_reserve, 0)
    eventlet.spawn(deadlines.run, eventlet.sleep)

    def stop() -> None:
        # The WSGI servers continue: if they ended, their connections would end before clients get the restart notice.
        acceptor.close()
        listener.close()

    return stop


def make_offloads(settings: Settings) -> Offloads:
    """Compute passwords and payloads in native threads: they take many milliseconds, in which no greenlet runs."""
    threading, queue = patcher.original("threading"), patcher.original("queue")
    hashing = NativeThreads(settings.password_checks, threading, queue, tpool.execute)
    return Offloads(hashing.run, tpool.execute)


def _end_http() -> None:
    wsgi.WSGI_LOCAL.already_handled = True


def _start_wsgi_server(listener: QueueListener, app: Flask, protocol: type[Any], size: int, keepalive: float) -> None:
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


def _start_acceptor(
    listener: Any, web: WebContainer, settings: Settings, deadlines: ReadDeadlines, dispatch: Dispatch
) -> Acceptor:
    """Accept connections, and serve websockets without the WSGI server where that is possible.

    The WSGI server gets the websockets too if the setting, a library's version or the kernel requires it.
    """
    epoll = getattr(patcher.original("select"), "epoll", None)
    reason = "it is set" if settings.engine == "stock" else fast_engine.find_unknown_version()
    if epoll is None:
        reason = reason or "the system has no epoll"
    if reason is not None:
        log.info("stock_engine", reason=reason)
    if epoll is None:
        blocking = BlockingAcceptor(listener, dispatch, web.limits)
        eventlet.spawn(blocking.run)
        return blocking
    poller = epoll()
    wait = DescriptorWait(hubs.get_hub(), eventlet.getcurrent, poller.fileno()).wait
    loop = EventLoop(poller, wait, eventlet.spawn_n)
    if reason is None:
        web.engine = fast_engine.FastEngine(web.socketio.server, settings, loop, web.budgets)
        web.engine.on_drained = web.hub.subscriptions.resume
        web.engine.start()
    acceptor = PeekingAcceptor(listener.fd, loop, web.engine, dispatch, web.limits, deadlines, settings)
    acceptor.start()
    eventlet.spawn_n(loop.run)
    return acceptor
