"""Serves a web process: `python -m swallowtail.app.wsgi`. The ground that the road's web stops stand on.

With `--processes N`, or the setting, this process is only the parent of N that serve (`app/web/serving/multiprocess`).

The only file that knows how concurrency is made: `SWALLOWTAIL_ASYNC_MODE` is `eventlet` (default), `gevent`, or
`threading` (Werkzeug's server, for debugging and small installations). The standard library has to be patched before
anything else is imported, so the mode is read first, and everything else is imported inside functions.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace
    from socket import socket

    from flask import Flask

    from swallowtail.app.core.config.settings import Settings
    from swallowtail.app.web.accept.blocking_acceptor import Acceptor
    from swallowtail.app.web.accept.read_deadline import ReadDeadlines

#: Seconds that a kept-alive connection may be silent between two requests.
KEEPALIVE = 75
#: Seconds that one read or write of a request may take. Websockets have limits of their own, from the ping settings.
REQUEST_TIMEOUT = 60
#: Looks for a signal, ten a second, from one measuring to the next where another process may be asked for the numbers.
LOOKS = 10
#: Seconds that clients have to take what is queued for them when the process ends.
FAREWELL = 0.3

Stop = Callable[[], None]
Serve = Callable[["socket", "Flask", "Settings"], Stop]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    from swallowtail.app.core.logs.unlogged_output import begin

    os.umask(0o077)  # What it writes, under `var`, is nobody else's.
    begin()
    given = _read_arguments(arguments)
    if given.processes is not None:
        os.environ["SWALLOWTAIL_PROCESSES"] = given.processes
    if given.member is None:
        # Somebody else's: others may write to it, or have left something there.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if given.member is None and _peek("SWALLOWTAIL_PROCESSES", "1") != "1":
        return _attempt(_lead)
    mode = _peek("SWALLOWTAIL_ASYNC_MODE", "eventlet")
    _patch(mode)
    # Only now: whatever is imported before the patch keeps the blocking functions of the standard library.
    return _attempt(lambda settings: _serve(settings, mode, given.member))


def _attempt(work: Callable[[Settings], int]) -> int:
    from swallowtail.app.core.config.settings import load_settings
    from swallowtail.app.core.errors import SettingsError, Unavailable
    from swallowtail.app.core.logs.setup import configure_logging

    try:
        settings = load_settings()
        configure_logging(settings)
        return work(settings)
    except (SettingsError, Unavailable) as wrong:
        # Also one that shows only when it is used, such as a database whose driver is not installed.
        sys.stderr.write(f"settings: {wrong.message}\n")
        return 2 if isinstance(wrong, SettingsError) else 1


def _lead(settings: Settings) -> int:
    from swallowtail.app.web.serving.multiprocess import lead

    try:
        return lead(settings)
    except OSError as fault:
        return _cannot_listen(settings, fault)


def _serve(settings: Settings, mode: str, member: int | None) -> int:
    if member is not None:
        from prometheus_client import values

        # Before anything is counted. A process that takes the place of a dead one goes on with its numbers: a sum
        # never falls, and there are as many files as processes.
        values.ValueClass = values.MultiProcessValue(lambda: member)  # type: ignore[no-untyped-call]
    from swallowtail.app.web.serving.listener import listen

    try:
        listener = listen(settings, shared=member is not None)
    except OSError as fault:
        return _cannot_listen(settings, fault)
    return _run(listener, settings, _SERVERS[mode])


def _cannot_listen(settings: Settings, fault: OSError) -> int:
    sys.stderr.write(f"cannot listen on {settings.host}:{settings.port}: {fault.strerror or fault}\n")
    return 1


def _read_arguments(arguments: Sequence[str] | None) -> Namespace:
    from argparse import SUPPRESS

    from swallowtail.app.core.logs.unlogged_output import Arguments

    parser = Arguments(prog="python -m swallowtail.app.wsgi", description="Serve Swallowtail.", allow_abbrev=False)
    parser.add_argument("--processes", metavar="N", help="processes on the one address (SWALLOWTAIL_PROCESSES)")
    parser.add_argument("--member", type=int, help=SUPPRESS)
    return parser.parse_args(arguments)


def _peek(name: str, default: str) -> str:
    """Read a setting that decides how everything else is imported, in the way that all settings are read."""
    from dotenv import dotenv_values

    sources: tuple[Mapping[str, str | None], ...] = (os.environ, dotenv_values(".env"))
    for source in sources:
        for key, value in source.items():
            if key.upper() == name and value:
                return value
    return default


def _patch(mode: str) -> None:
    if mode == "eventlet":
        # It says that it is in maintenance; decision 9 says why it is here. Warnings of other threads are not lost.
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet

        eventlet.monkey_patch()
    elif mode == "gevent":
        from gevent import monkey

        monkey.patch_all()


def _run(listener: socket, settings: Settings, serve: Serve) -> int:
    from swallowtail.app.core.deployment import join
    from swallowtail.app.core.maintenance.sweeper import Sweeper
    from swallowtail.app.core.process.library_check import WEB, check_libraries
    from swallowtail.app.core.security.signing_keys import SigningKeys
    from swallowtail.app.web.container import Web
    from swallowtail.app.web.factory import create_app
    from swallowtail.app.web.ops.metrics import measure
    from swallowtail.app.web.serving.fd_limit import raise_limit
    from swallowtail.app.web.serving.listener import name_of
    from swallowtail.app.web.serving.shutdown_signals import catch_signals
    from swallowtail.app.web.socketio.handlers import announce_restart, close_connections

    check_libraries(*WEB, *(["gevent"] if settings.async_mode == "gevent" else []))
    stopping: list[int] = []
    catch_signals(stopping)
    raise_limit(settings.max_connections)
    # Before the database is asked for anything: what is missing shows at once.
    SigningKeys(settings).check()
    driver: Any = "psycopg2" if settings.async_mode == "eventlet" else None
    settings = join(settings, driver)
    app = create_app(settings, driver=driver)
    web: Web = app.extensions["swallowtail"]
    sweeper = Sweeper(web.rt)
    sweeper.start()
    app.wsgi_app = _without_deflate(app.wsgi_app)  # type: ignore[method-assign]
    # What is there from the start stays: looking through it for garbage takes a tenth of a second, again and again.
    gc.collect()
    gc.freeze()
    stop = serve(listener, app, settings)
    web.hub.start(web.engine.loop if web.engine is not None else None)
    web.access_monitor.start()
    sys.stdout.write(f"listening on {name_of(listener)}\n")
    sys.stdout.flush()
    looks = 0
    while not stopping:
        time.sleep(0.1)
        looks += 1
        if settings.processes > 1 and looks % LOOKS == 0:
            measure(web)
    stop()
    announce_restart(web)
    close_connections(web)
    time.sleep(FAREWELL)
    web.access_monitor.stop()
    web.hub.stop()
    sweeper.stop()
    web.close()
    return 0


def _without_deflate(app: Any) -> Any:
    """Hide a client's offer to compress a websocket: it costs more time and memory than small messages save."""

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        return app(environ, start_response)

    return serve


def _serve_eventlet(listener: socket, app: Flask, settings: Settings) -> Stop:
    import eventlet
    from eventlet import greenio, patcher, tpool, wsgi

    from swallowtail.app.web.accept.eventlet_handler import make_eventlet_handler
    from swallowtail.app.web.accept.read_deadline import ReadDeadlines
    from swallowtail.app.web.accept.wsgi_listener import QueueListener
    from swallowtail.app.web.background.native_threads import NativeThreads

    # A password or a snapshot takes many milliseconds: in a real thread no greenlet waits for it.
    threading, queue = patcher.original("threading"), patcher.original("queue")
    hashing = NativeThreads(settings.password_checks, threading, queue, tpool.execute)
    app.extensions["swallowtail"].offload(hashing.run, tpool.execute)
    usual, health = (QueueListener(listener, eventlet.Queue()) for _ in range(2))

    def dispatch(sock: Any, address: tuple[str, int], is_health: bool) -> None:
        green = sock if isinstance(sock, greenio.GreenSocket) else greenio.GreenSocket(sock)
        (health if is_health else usual).queue.put((green, address))

    def end_http() -> None:
        wsgi.WSGI_LOCAL.already_handled = True

    deadlines = ReadDeadlines(settings.request_seconds, KEEPALIVE)
    acceptor = _start_acceptor(listener, app, settings, deadlines, dispatch)
    protocol = make_eventlet_handler(wsgi.HttpProtocol, deadlines, end_http, acceptor.connection_closed)
    # The acceptor limits the connections; those that it sheds end while others begin. A health check gets one response,
    # so that no client keeps a reserved place.
    for wsgi_listener, most, keepalive in (
        (usual, 2 * settings.max_connections, KEEPALIVE),
        (health, settings.health_reserve, 0),
    ):
        eventlet.spawn(
            wsgi.server,
            wsgi_listener,
            app,
            max_size=most,
            keepalive=keepalive,
            socket_timeout=REQUEST_TIMEOUT,
            log_output=False,
            protocol=protocol,
            # Otherwise a traceback goes to the client.
            debug=False,
        )
    eventlet.spawn(deadlines.run, eventlet.sleep)

    def stop() -> None:
        # The server itself goes on: killed, it would take its connections along before they have been said goodbye to.
        acceptor.close()
        listener.close()

    return stop


def _start_acceptor(
    listener: Any, app: Flask, settings: Settings, deadlines: ReadDeadlines, dispatch: Callable[[Any, Any, bool], None]
) -> Acceptor:
    """Have connections accepted under eventlet, and websockets served without the WSGI server where that can be.

    The stock path, in which the WSGI server gets every websocket, remains when the setting, the library or the kernel
    wants it so.
    """
    import eventlet
    import structlog
    from eventlet import hubs, patcher

    from swallowtail.app.web.accept.acceptor import PeekingAcceptor
    from swallowtail.app.web.accept.blocking_acceptor import BlockingAcceptor
    from swallowtail.app.web.container import Web
    from swallowtail.app.web.engineio import fast_engine
    from swallowtail.app.web.websocket import event_loop
    from swallowtail.app.web.websocket.eventlet_wait import DescriptorWait

    epoll = getattr(patcher.original("select"), "epoll", None)
    web: Web = app.extensions["swallowtail"]
    reason = "it is set" if settings.engine == "stock" else fast_engine.find_unknown_version()
    if epoll is None:
        reason = reason or "the system has no epoll"
    if reason is not None:
        structlog.get_logger(__name__).info("stock_engine", reason=reason)
    if epoll is None:
        blocking = BlockingAcceptor(listener, dispatch, web.limits)
        eventlet.spawn(blocking.run)
        return blocking
    poller = epoll()
    loop = event_loop.EventLoop(
        poller, DescriptorWait(hubs.get_hub(), eventlet.getcurrent, poller.fileno()).wait, eventlet.spawn_n
    )
    if reason is None:
        web.engine = fast_engine.Engine(web.socketio.server, settings, loop, web.budgets)
        web.engine.on_drained = web.hub.subscriptions.resume
        web.engine.start()
    acceptor = PeekingAcceptor(listener.fd, loop, web.engine, dispatch, web.limits, deadlines, settings)
    acceptor.start()
    eventlet.spawn_n(loop.run)
    return acceptor


def _serve_gevent(listener: socket, app: Flask, settings: Settings) -> Stop:
    from gevent import sleep, spawn
    from gevent.monkey import get_original
    from gevent.pywsgi import WSGIHandler, WSGIServer
    from gevent.socket import wait_read
    from gevent.threadpool import ThreadPool

    from swallowtail.app.web.accept.acceptor import start_acceptor
    from swallowtail.app.web.accept.gevent_handler import make_gevent_handler
    from swallowtail.app.web.accept.read_deadline import ReadDeadlines

    threads = ThreadPool(settings.password_checks)
    web = app.extensions["swallowtail"]
    web.offload(*[lambda work, *given: threads.apply(work, given)] * 2)
    deadlines = ReadDeadlines(settings.request_seconds, KEEPALIVE)
    handler = make_gevent_handler(WSGIHandler, deadlines, KEEPALIVE)

    class Once(handler):  # type: ignore[misc, valid-type] # the library has no types
        def handle_one_request(self) -> Any:
            # Who asks for health keeps no place.
            answer = super().handle_one_request()
            return None if answer is True else answer

    server = WSGIServer(listener, app, handler_class=handler, log=None)
    server.init_socket()

    def serve(sock: Any, address: tuple[str, int], is_health: bool) -> None:
        try:
            (Once if is_health else handler)(sock, address, server).handle()
        finally:
            sock.close()
            acceptor.connection_closed(address)

    def dispatch(*connection: Any) -> None:
        spawn(serve, *connection)

    def wait(poller: Any, seconds: float) -> None:
        with suppress(TimeoutError):
            wait_read(poller.fileno(), seconds, TimeoutError())

    try:
        epoll = get_original("select", "epoll")
    except AttributeError:
        epoll = None
    acceptor = start_acceptor(listener, epoll, wait, spawn, dispatch, web.limits, deadlines, settings)
    spawn(deadlines.run, sleep)

    def stop() -> None:
        acceptor.close()
        listener.close()

    return stop


def _serve_threading(listener: socket, app: Flask, settings: Settings) -> Stop:
    from swallowtail.app.web.accept.threaded_server import serve_in_threads

    return serve_in_threads(listener, app, settings, KEEPALIVE)


_SERVERS: dict[str, Serve] = {
    "eventlet": _serve_eventlet,
    "gevent": _serve_gevent,
    "threading": _serve_threading,
}


if __name__ == "__main__":
    sys.exit(main())
