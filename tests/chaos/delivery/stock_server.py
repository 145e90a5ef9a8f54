"""Stock Flask-SocketIO with its Redis message queue: the program of `stock_peer.StockServer`, which patches first."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask
from flask_socketio import SocketIO, emit, join_room

from tests.conformance.echo import add_echo
from tests.conformance.line import PAGE

PORT = int(os.environ["STOCK_PORT"])

app = Flask(__name__)
server = SocketIO(
    app,
    async_mode="eventlet",
    message_queue=os.environ["STOCK_REDIS"],
    cors_allowed_origins=[PAGE, f"http://127.0.0.1:{PORT}"],
)


@server.on("subscribe_instance")  # type: ignore[untyped-decorator] # the library has no types
def subscribe(wanted: dict[str, Any]) -> dict[str, Any]:
    """Join the room and confirm it."""
    join_room(f"instance_{wanted['instance_id']}")
    emit("subscribed", wanted)
    return {"ok": True}


add_echo(server.server)


if __name__ == "__main__":
    server.run(app, host="127.0.0.1", port=PORT)
