"""Puts one web process together: Flask, the REST API, the pages, Socket.IO, and the domain behind them.

Not a stop on the road but the junction of two: `web/api`, where it begins, and `web/sockets`, where it ends.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from apiflask import APIFlask
from flask import Flask

from app.core.denials import Denials
from app.core.engines import PostgresDriver
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.core.tokens import Tokens
from app.delivery.archive import Archive
from app.delivery.hub import Hub
from app.delivery.warden import Warden
from app.web import csrf, errors, headers, health, lobby, metrics, openapi, pages, sockets, turnstile, vendored
from app.web.announcer import Announcer
from app.web.api import agents, artifacts, audit, auth, instances, keeping, members, schedules, tasks, tokens, users
from app.web.background import Background
from app.web.bodies import ApiRequest, FastJson
from app.web.budgets import Budgets
from app.web.doorstep import Doorstep
from app.web.limits import Limits
from app.web.outgoing import count_answers
from app.web.parts import Web, get_runtime
from app.web.refusals import Refusals
from app.web.transport import SocketTransport

_PARTS = (
    *(instances, members, keeping, tasks, artifacts, agents, schedules, audit, auth, users, tokens),
    *(health, metrics, lobby, pages),
)


def create_app(settings: Settings, *, driver: PostgresDriver | None = None) -> Flask:
    """Build the application without opening a connection or starting a thread.

    Whoever serves it (`app/wsgi.py`) starts its hub, and a `Sweeper` to relay what is submitted. Raises SettingsError.

    Args:
        settings: the frozen settings.
        driver: PostgreSQL driver; psycopg2 in a process that eventlet patched.
    """
    app = _make_flask(settings)
    runtime = Runtime.build(settings, driver=driver, for_runs=False)
    reader = Tokens(runtime)
    reader.check_keys()
    # A request waits for the database and for nothing else: telling Redis and waking workers is for other threads.
    announcer = Announcer(runtime.broadcast)
    runtime.ledger.announce = announcer.announce
    runtime.ledger.announce_access = announcer.announce_access
    runtime.hurry = _leave_to_sweeper
    budgets = Budgets(settings)
    sio = sockets.make_socketio(app, settings, budgets)
    archive = Archive(runtime.db, settings)
    hub = Hub(settings, archive, SocketTransport(sio.server, settings.client_backlog))
    allowed = Limits(settings)
    denials = Denials(runtime.db, settings)
    refusals = Refusals(runtime.db, denials)
    conversation = sockets.register(sio, hub, settings, reader, allowed, refusals)
    warden = Warden(settings, hub, archive, reader.is_still_good, conversation)
    hub.on_access = hub.passes.on_doubt = warden.look_soon
    background = Background(sio.server, sio.server.manager.stop, conversation.close)
    app.extensions["swallowtail"] = Web(
        runtime,
        reader,
        announcer,
        sio,
        hub,
        allowed,
        warden,
        conversation.events,
        denials,
        refusals,
        background,
        budgets,
    )
    metrics.register(app)
    turnstile.register(app, allowed)
    csrf.register(app)
    headers.register(app, settings)
    errors.register(app)
    openapi.register(app)
    vendored.register(app)
    for part in _PARTS:
        app.register_blueprint(part.bp)
    app.wsgi_app = count_answers(app.wsgi_app, budgets.outbound)  # type: ignore[method-assign]
    # Around Socket.IO too, which stands around Flask.
    app.wsgi_app = Doorstep(settings).around(app.wsgi_app)  # type: ignore[method-assign]
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
