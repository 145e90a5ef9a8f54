"""Puts one web process together: Flask, the REST API, the pages, Socket.IO, and the domain behind them.

Not a stop on the road but the junction of two: `web/api`, where it begins, and `web/socketio/handlers`, where it ends.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import Any

from apiflask import APIFlask
from flask import Flask

from swallowtail.app.core.audit.denied_requests import Denials
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.delivery.access_monitor import AccessMonitor
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.web.accept.response_budget import count_responses
from swallowtail.app.web.api import (
    agents,
    artifacts,
    audit,
    auth,
    instance_data,
    instances,
    members,
    schedules,
    tasks,
    tokens,
    users,
)
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.background.publish_queue import PublishQueue
from swallowtail.app.web.container import Web, get_runtime
from swallowtail.app.web.engineio.shutdown import Background
from swallowtail.app.web.http import problem_details, security_headers
from swallowtail.app.web.http.request_guard import RequestGuard
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.ops import health, metrics, openapi
from swallowtail.app.web.pages import login, vendored, views
from swallowtail.app.web.request import csrf, rate_limit_hooks
from swallowtail.app.web.request.json_body import ApiRequest, FastJson
from swallowtail.app.web.socketio import handlers
from swallowtail.app.web.socketio.transport import SocketTransport
from swallowtail.app.web.websocket.budgets import MemoryBudgets

_PARTS = (
    *(instances, members, instance_data, tasks, artifacts, agents, schedules, audit, auth, users, tokens),
    *(health, metrics, login, views),
)


def create_app(settings: Settings, *, driver: PostgresDriver | None = None) -> Flask:
    """Build the application without opening a connection or starting a thread.

    Whoever serves it (`app/web/serving`) starts its hub, and a `Sweeper` to relay what is submitted. Raises SettingsError.

    Args:
        settings: the frozen settings.
        driver: PostgreSQL driver; psycopg2 in a process that eventlet patched.
    """
    app = _make_flask(settings)
    runtime = Runtime.build(settings, driver=driver, for_runs=False)
    reader = Tokens(runtime)
    reader.check_keys()
    # A request waits for the database and for nothing else: telling Redis and waking workers is for other threads.
    announcer = PublishQueue(runtime.broadcast)
    runtime.ledger.announce = announcer.announce
    runtime.ledger.announce_access = announcer.announce_access
    runtime.hurry = _leave_to_sweeper
    budgets = MemoryBudgets(settings)
    sio = handlers.make_socketio(app, settings, budgets)
    events = DatabaseReader(runtime.db, settings)
    access_changed = threading.Event()
    hub = Hub(settings, events, SocketTransport(sio.server, settings.client_backlog), access_changed.set)
    allowed = Limits(settings)
    denials = Denials(runtime.db, settings)
    refusals = DeniedRequestQueue(runtime.db, denials)
    conversation = handlers.register(sio, hub, settings, reader, allowed, refusals)
    access_monitor = AccessMonitor(settings, hub, events, reader.find_ended, conversation, access_changed)
    background = Background(sio.server, sio.server.manager.stop, conversation.close)
    app.extensions["swallowtail"] = Web(
        runtime,
        reader,
        announcer,
        sio,
        hub,
        allowed,
        access_monitor,
        conversation.events,
        denials,
        refusals,
        background,
        budgets,
    )
    metrics.register(app)
    rate_limit_hooks.register(app, allowed)
    csrf.register(app)
    security_headers.register(app, settings)
    problem_details.register(app)
    openapi.register(app)
    vendored.register(app)
    for part in _PARTS:
        app.register_blueprint(part.bp)
    app.wsgi_app = count_responses(app.wsgi_app, budgets.outgoing)  # type: ignore[method-assign]
    # Around Socket.IO too, which stands around Flask.
    app.wsgi_app = RequestGuard(settings).around(app.wsgi_app)  # type: ignore[method-assign]
    return app


class _PatientApp(APIFlask):
    """An application whose views are asked again when the database went away while they only read."""

    def dispatch_request(self) -> Any:
        return get_runtime().db.patiently(super().dispatch_request)


def _make_flask(settings: Settings) -> APIFlask:
    app = _PatientApp(
        __name__,
        title="Swallowtail",
        version=version("swallowtail"),
        spec_path="/api/openapi.json",
        docs_path=None,
        json_errors=False,
    )
    app.request_class = ApiRequest
    app.json = FastJson(app)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = False
    return app


def _leave_to_sweeper() -> None:
    """`Sweeper.start` puts its own alarm in this place."""
