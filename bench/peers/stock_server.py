"""Stock Flask-SocketIO on eventlet with its Redis message queue, as its documentation sets it up."""

from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import os  # noqa: E402 - nothing may be imported before the patching
from typing import Any  # noqa: E402

from eventlet import wsgi  # noqa: E402
from flask import Flask  # noqa: E402
from flask_socketio import SocketIO, emit, join_room  # noqa: E402

app = Flask(__name__)
socketio = SocketIO(
    app,
    async_mode="eventlet",
    # With the default limit, 200 clients that subscribe at once end its listener ("Too many connections").
    message_queue=os.environ["BENCH_REDIS"] + "?max_connections=20000",
    http_compression=False,
)


@socketio.on("subscribe_instance")  # type: ignore[untyped-decorator]
def subscribe(request: dict[str, Any]) -> dict[str, Any]:
    """Join the room and confirm it."""
    join_room(request["instance_id"])
    emit("subscribed", {"instance_id": request["instance_id"]})
    return {"ok": True}


if __name__ == "__main__":
    # socketio.run() with the one argument without which it stops at 1024 connections.
    listener = eventlet.listen(("127.0.0.1", int(os.environ["BENCH_PORT"])), backlog=4096)
    print("listening", flush=True)
    wsgi.server(listener, app, max_size=20_000, log_output=False)
