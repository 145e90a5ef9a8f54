"""Puts one web process together: Flask, the REST API, the pages, Socket.IO, and the domain behind them.

Not a stop on the road but the junction of its two web stops: `web/api` where it begins and `web/sockets` where it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import socketio
from apiflask import APIFlask
from flask import Flask, current_app
from flask_socketio import SocketIO

from app.core.db import PostgresDriver
from app.core.runtime import Runtime
from app.core.settings import Settings


@dataclass(slots=True)
class Web:
    """What the parts of one web process share; `app.extensions["swallowtail"]`."""

    rt: Runtime
    socketio: SocketIO
    hub: Any = None


def create_app(settings: Settings, *, driver: PostgresDriver | None = None) -> Flask:
    """Build the application without opening a connection or starting a thread.

    Args:
        settings: the frozen settings.
        driver: PostgreSQL driver; psycopg2 in a process that eventlet patched.
    """
    app = APIFlask(__name__, title="Swallowtail", docs_path=None, spec_path="/api/openapi.json")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    sio = _make_socketio(app, settings)
    app.extensions["swallowtail"] = Web(Runtime.build(settings, driver=driver), sio)
    return app


def get_web() -> Web:
    """Return what the running application shares."""
    return cast("Web", current_app.extensions["swallowtail"])


def _make_socketio(app: Flask, settings: Settings) -> SocketIO:
    # Flask-SocketIO would choose kombu for a unix socket; the manager connects at the first client, not here.
    queue = socketio.RedisManager(settings.redis, channel=f"{settings.channel_prefix}:socketio")
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    return SocketIO(
        app,
        async_mode=settings.async_mode,
        client_manager=queue,
        cors_allowed_origins=origins or None,
        manage_session=False,
        max_http_buffer_size=settings.max_body_bytes,
        http_compression=False,
        serve_client=False,
    )
