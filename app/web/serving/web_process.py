"""Runs one web process: constructs its parts, serves until a signal arrives, and closes them."""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Callable
from socket import socket
from typing import Any, Protocol

from flask import Flask

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.maintenance.sweeper import Sweeper
from swallowtail.app.core.process.offload import Offloads
from swallowtail.app.core.security.signing_keys import SigningKeys
from swallowtail.app.delivery.wire import RESTARTING
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.factory import create_app
from swallowtail.app.web.ops.metrics import measure
from swallowtail.app.web.serving.fd_limit import raise_limit
from swallowtail.app.web.serving.listener import name_of
from swallowtail.app.web.serving.shutdown_signals import catch_signals
from swallowtail.app.web.socketio.resume_rate import spread_reconnects
from swallowtail.app.web.websocket.event_loop import EventLoop

#: Seconds between two checks for a signal.
CHECK_SECONDS = 0.1
#: Checks between two measurements, when another process may be asked for the metrics of this one.
CHECKS_PER_MEASUREMENT = 10
#: Seconds that clients have to receive what is queued for them when the process ends.
DRAIN_SECONDS = 0.3


class ServerModule(Protocol):
    """The module of one `async_mode`."""

    def make_offloads(self, settings: Settings) -> Offloads:
        """Return where to compute what takes long."""

    def make_loop(self) -> EventLoop | None:
        """Return the event loop of the process; None on a system without epoll."""

    def serve(self, listener: Any, loop: EventLoop | None, app: Flask, settings: Settings) -> Callable[[], None]:
        """Serve an application on a listening socket; return a function that stops accepting connections."""


def run(listener: socket, settings: Settings, server: ServerModule) -> int:
    """Construct the parts and serve until SIGTERM or SIGINT; the exit code. Raises SettingsError, Unavailable."""
    stopping: list[int] = []
    catch_signals(stopping)
    raise_limit(settings.max_connections)
    # A missing key is reported before the database is needed.
    SigningKeys(settings).check()
    driver: PostgresDriver | None = "psycopg2" if settings.async_mode == "eventlet" else None
    settings = join(settings, driver)
    loop = server.make_loop()
    app = create_app(settings, driver=driver, offloads=server.make_offloads(settings), loop=loop)
    web: WebContainer = app.extensions["swallowtail"]
    sweeper = web.rt.make_sweeper()
    sweeper.start()
    # Objects that exist now live as long as the process: a collection that visits them takes a tenth of a second.
    gc.collect()
    gc.freeze()
    stop = server.serve(listener, loop, app, settings)
    web.hub.start(loop if web.engine is not None else None)
    web.access_monitor.start()
    sys.stdout.write(f"listening on {name_of(listener)}\n")
    sys.stdout.flush()
    _wait_for_signal(stopping, web, settings)
    stop()
    _close(web, sweeper)
    return 0


def _wait_for_signal(stopping: list[int], web: WebContainer, settings: Settings) -> None:
    checks = 0
    while not stopping:
        time.sleep(CHECK_SECONDS)
        checks += 1
        if settings.processes > 1 and checks % CHECKS_PER_MEASUREMENT == 0:
            measure(web)


def _close(web: WebContainer, sweeper: Sweeper) -> None:
    _announce_restart(web)
    # Clients see a lost transport and reconnect to another process; after a Socket.IO disconnect they would stay away.
    if web.engine is not None:
        web.engine.close_all()
    web.sessions.close_stock()
    time.sleep(DRAIN_SECONDS)
    web.access_monitor.stop()
    web.hub.stop()
    sweeper.stop()
    web.close()


def _announce_restart(web: WebContainer) -> None:
    """Send each client of this process a different time to reconnect."""
    clients = web.sessions.list_clients()
    for client, delay in zip(clients, spread_reconnects(len(clients), web.rt.settings.resume_rate), strict=True):
        web.transport.emit(client, RESTARTING, {"retry_after_ms": math.ceil(delay * 1000)})
