"""Constructs the application of a web process: the domain, delivery, Socket.IO, the REST API and the pages."""

from __future__ import annotations

import threading
from typing import Any

from apiflask import APIFlask
from flask import Flask

from swallowtail.app.core.audit.denied_requests import DeniedRequests
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.engines import PostgresDriver
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.process.offload import NO_OFFLOADS, Offloads
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
from swallowtail.app.web.container import WebContainer, get_runtime
from swallowtail.app.web.engineio.fast_engine import FastEngine, is_usable
from swallowtail.app.web.engineio.sessions import Sessions
from swallowtail.app.web.engineio.shutdown import ServerThreads
from swallowtail.app.web.http import problem_details, security_headers
from swallowtail.app.web.http.request_guard import RequestGuard
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.ops import health, metrics, openapi
from swallowtail.app.web.pages import agents_banner, login, missing_client, views
from swallowtail.app.web.request import csrf, permission_order, rate_limit_hooks
from swallowtail.app.web.request.json_body import ApiRequest, FastJson
from swallowtail.app.web.socketio import server as socket_server
from swallowtail.app.web.socketio.transport import SocketTransport
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.event_loop import EventLoop
from swallowtail.version import VERSION

_BLUEPRINTS = (
    *(instances, members, instance_data, tasks, artifacts, agents, schedules, audit, auth, users, tokens),
    *(health, metrics, login, views),
)


def create_app(
    settings: Settings,
    *,
    driver: PostgresDriver | None = None,
    offloads: Offloads = NO_OFFLOADS,
    loop: EventLoop | None = None,
) -> Flask:
    """Build the application without opening a connection or starting a thread.

    `web/serving/web_process` starts its hub, and a `Sweeper` that relays submissions. Raises SettingsError.

    Args:
        settings: the frozen settings.
        driver: psycopg2 if eventlet has patched the process.
        offloads: where to compute what takes long.
        loop: serves websockets under eventlet, unless settings or versions need the stock engine; else WSGI does.
    """
    app = _make_flask(settings)
    runtime = Runtime.build(settings, driver=driver, has_sweeper=True, for_runs=False, offloads=offloads)
    guard = RequestGuard(settings)
    container = _build_container(app, settings, runtime, guard, loop)
    app.extensions["swallowtail"] = container
    _register_http(app, settings, guard, container.limits)
    app.wsgi_app = count_responses(app.wsgi_app, container.budgets.outgoing)  # type: ignore[method-assign]
    # Outermost: around Socket.IO, which wraps Flask.
    app.wsgi_app = guard.wrap(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _build_container(
    app: Flask, settings: Settings, runtime: Runtime, guard: RequestGuard, loop: EventLoop | None
) -> WebContainer:
    token_reader = Tokens(runtime)
    token_reader.check_keys()
    budgets = MemoryBudgets(settings)
    sessions = Sessions(socket_server.make_server(app, settings, budgets, guard.origins))
    transport = SocketTransport(sessions, settings.client_backlog)
    reader = DatabaseReader(runtime.db, settings, runtime.offload)
    access_changed = threading.Event()
    hub = Hub(settings, reader, transport, access_changed.set)
    engine = None
    if loop is not None and settings.async_mode == "eventlet" and settings.engine == "fast" and is_usable():
        engine = FastEngine(sessions, settings, loop, budgets, guard, hub.subscriptions.resume)
    limits = Limits(settings, guard.proxies)
    denials = DeniedRequests(runtime.db, settings)
    denied_requests = DeniedRequestQueue(runtime.db, denials)
    handlers = socket_server.register(sessions, transport, hub, settings, token_reader, limits, denied_requests)
    access_monitor = AccessMonitor(settings, hub, reader, token_reader.find_ended, handlers, access_changed)
    background = ServerThreads(sessions, handlers.close)
    return WebContainer(
        runtime,
        token_reader,
        sessions,
        transport,
        hub,
        limits,
        access_monitor,
        denials,
        denied_requests,
        background,
        budgets,
        engine,
    )


def _register_http(app: APIFlask, settings: Settings, guard: RequestGuard, limits: Limits) -> None:
    metrics.register(app)
    rate_limit_hooks.register(app, limits)
    permission_order.register(app)
    csrf.register(app)
    security_headers.register(app, guard.origins)
    problem_details.register(app)
    openapi.register(app)
    missing_client.register(app)
    agents_banner.register(app, settings)
    for module in _BLUEPRINTS:
        app.register_blueprint(module.bp)


class _RetryingApp(APIFlask):
    """An application that repeats a view that only reads if the database connection fails."""

    def dispatch_request(self) -> Any:
        return get_runtime().db.retry_if_cut_off(super().dispatch_request)


def _make_flask(settings: Settings) -> APIFlask:
    app = _RetryingApp(
        __name__,
        title="Swallowtail",
        version=VERSION,
        spec_path="/api/openapi.json",
        docs_path=None,
        json_errors=False,
    )
    app.request_class = ApiRequest
    app.json = FastJson(app)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = False
    return app
