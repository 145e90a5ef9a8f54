"""Mends how python-engineio ends a session of long polling. Beside the road's last stop.

The library waits until the client has fetched what is left, and forgets the session only then: the answer to a packet
that cannot be read never came, because the client was waiting for it. Here the session is closed at once, and what is
left can still be fetched by the poll that is under way or the next one.
"""

from __future__ import annotations

from typing import Any

import socketio


def end_without_waiting(server: socketio.Server) -> None:
    """Have a Socket.IO server close sessions of long polling without waiting for their clients."""
    eio = server.eio
    stock = eio.disconnect

    def disconnect(sid: str | None = None) -> None:
        session: Any = None if sid is None else eio.sockets.get(sid)
        if session is None or session.upgraded:
            stock(sid)
        else:
            session.close(wait=False, reason=eio.reason.SERVER_DISCONNECT)

    eio.disconnect = disconnect
