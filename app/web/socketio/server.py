"""Builds the Socket.IO server of a web process, and registers the handlers of docs/protocol.md on it."""

from __future__ import annotations

import socketio
from flask import Flask
from flask_socketio import SocketIO

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.engineio.connect_timeout import ConnectTimeouts
from swallowtail.app.web.engineio.packet_order import PacketOrder
from swallowtail.app.web.engineio.packets import PacketJson, make_packet_class
from swallowtail.app.web.engineio.polling import PollingHandler
from swallowtail.app.web.engineio.session_count import count_sessions
from swallowtail.app.web.engineio.sessions import Sessions
from swallowtail.app.web.http.cors import AllowedOrigins
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.limits.message_limits import MessageLimits
from swallowtail.app.web.socketio.client_manager import ClientManager
from swallowtail.app.web.socketio.connect_auth import ClientTokens, ConnectAuth
from swallowtail.app.web.socketio.handlers import SocketHandlers
from swallowtail.app.web.socketio.resume_rate import ResumeRate
from swallowtail.app.web.socketio.transport import SocketTransport
from swallowtail.app.web.websocket.budgets import MemoryBudgets


def make_server(app: Flask, settings: Settings, budgets: MemoryBudgets, origins: AllowedOrigins) -> socketio.Server:
    """Return the Socket.IO server of one web process. It connects to Redis with its first client.

    Messages above `max_body_bytes` are refused; frames above `max_frame_bytes` close the connection unread.
    """
    # Flask-SocketIO puts the application behind the server; nothing else of it is used.
    server = SocketIO(
        app,
        async_mode=settings.async_mode,
        client_manager=ClientManager(settings),
        serializer=make_packet_class(settings),
        json=PacketJson,
        # Each request of a polling session may reach another process, which does not know the session.
        transports=["websocket"] if settings.processes > 1 else None,
        # Handles a client's events in order, without a greenlet or thread for each.
        async_handlers=False,
        cors_allowed_origins=origins.allows,
        cors_credentials=False,
        manage_session=False,
        max_http_buffer_size=_max_message(settings),
        http_compression=False,
        serve_client=False,
    ).server
    PollingHandler(server, settings, budgets)
    return server


def register(
    sessions: Sessions,
    transport: SocketTransport,
    hub: Hub,
    settings: Settings,
    tokens: Tokens,
    limits: Limits,
    denied: DeniedRequestQueue,
) -> SocketHandlers:
    """Register the handlers on a Socket.IO server; return them."""
    server = sessions.server
    client_tokens = ClientTokens(settings, tokens, hub.permissions)
    connect_timeout = ConnectTimeouts(sessions, settings.connect_timeout)
    count_sessions(server, limits)
    handlers = SocketHandlers(
        hub,
        transport,
        connect_timeout,
        client_tokens,
        MessageLimits(limits, server),
        ResumeRate(settings.resume_rate),
        denied,
        (settings.max_opening_bytes, _max_message(settings)),
    )
    auth = ConnectAuth(sessions, client_tokens, transport, limits, denied, handlers.connect)
    PacketOrder(sessions, auth.authenticate)
    server.on("disconnect", handlers.disconnect)
    server.on("*", handlers.receive)
    return handlers


def _max_message(settings: Settings) -> int:
    return max(settings.max_frame_bytes, settings.max_body_bytes)
