"""Asks the clients of a process that ends to reconnect at different times, and closes their connections."""

from __future__ import annotations

import math

from swallowtail.app.delivery.wire import RESTARTING
from swallowtail.app.web.container import WebContainer
from swallowtail.app.web.socketio.resume_rate import spread_reconnects
from swallowtail.app.web.socketio.rooms import NAMESPACE
from swallowtail.app.web.socketio.transport import SocketTransport


def announce_restart(web: WebContainer) -> None:
    """Send each client of this process a different time to reconnect."""
    settings = web.rt.settings
    transport = SocketTransport(web.socketio.server, settings.client_backlog)
    clients = [client for client, _ in web.socketio.server.manager.get_participants(NAMESPACE, None)]
    for client, delay in zip(clients, spread_reconnects(len(clients), settings.resume_rate), strict=True):
        transport.emit(client, RESTARTING, {"retry_after_ms": math.ceil(delay * 1000)})


def close_connections(web: WebContainer) -> None:
    """Close every connection of this process, after what is queued for it.

    Clients see a lost transport and reconnect to another process; after a Socket.IO disconnect they would stay away.
    """
    if web.engine is not None:
        web.engine.close_all()
    engine = web.socketio.server.eio
    for socket in list(engine.sockets.values()):
        socket.close(wait=False, abort=True, reason=engine.reason.SERVER_DISCONNECT)
