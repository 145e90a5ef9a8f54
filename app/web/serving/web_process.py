"""Runs one web process: constructs its parts, serves until a signal arrives, and closes them."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from typing import Any

from flask import Flask

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.deployment import join
from swallowtail.app.core.maintenance.sweeper import Sweeper
from swallowtail.app.core.process.library_check import WEB, check_libraries
from swallowtail.app.core.process.worker_thread import Offloads
from swallowtail.app.core.security.signing_keys import SigningKeys
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.factory import create_app
from swallowtail.app.web.ops.metrics import measure
from swallowtail.app.web.serving.fd_limit import raise_limit
from swallowtail.app.web.serving.listener import name_of
from swallowtail.app.web.serving.shutdown_signals import catch_signals
from swallowtail.app.web.socketio.process_end import announce_restart, close_connections

#: Seconds between two checks for a signal.
CHECK_SECONDS = 0.1
#: Checks between two measurements, when another process may be asked for the metrics of this one.
CHECKS_PER_MEASUREMENT = 10
#: Seconds that clients have to receive what is queued for them when the process ends.
DRAIN_SECONDS = 0.3

#: Stops accepting connections.
Stop = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Server:
    """How one `async_mode` serves an application on a listening socket, and where it computes what takes long."""

    serve: Callable[[socket, Flask, Settings], Stop]
    make_offloads: Callable[[Settings], Offloads]


def run(listener: socket, settings: Settings, server: Server) -> int:
    """Construct the process's parts and serve until SIGTERM or SIGINT; the exit code.

    Raises:
        SettingsError: a setting, a key or a library cannot be used.
        Unavailable: the database is not reachable.
    """
    check_libraries(*WEB, *(["gevent"] if settings.async_mode == "gevent" else []))
    stopping: list[int] = []
    catch_signals(stopping)
    raise_limit(settings.max_connections)
    # A missing key is reported before the database is needed.
    SigningKeys(settings).check()
    driver: PostgresDriver | None = "psycopg2" if settings.async_mode == "eventlet" else None
    settings = join(settings, driver)
    app = create_app(settings, driver=driver, offloads=server.make_offloads(settings))
    app.wsgi_app = _without_compression(app.wsgi_app)  # type: ignore[method-assign]
    web: WebContainer = app.extensions["swallowtail"]
    sweeper = web.rt.make_sweeper()
    sweeper.start()
    # Objects that exist now live as long as the process: a collection that visits them takes a tenth of a second.
    gc.collect()
    gc.freeze()
    stop = server.serve(listener, app, settings)
    web.hub.start(web.engine.loop if web.engine is not None else None)
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
    announce_restart(web)
    close_connections(web)
    time.sleep(DRAIN_SECONDS)
    web.access_monitor.stop()
    web.hub.stop()
    sweeper.stop()
    web.close()


def _without_compression(app: Any) -> Any:
    """Hide a client's offer to compress a websocket: it costs more time and memory than small messages save."""

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        return app(environ, start_response)

    return serve
