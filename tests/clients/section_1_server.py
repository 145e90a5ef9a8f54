"""A server that implements only section 1 of docs/protocol.md: no numbers, no acknowledgements, no replay.

Run as `python -m tests.clients.section_1_server PORT`. Each subscriber receives three events.
"""

from __future__ import annotations

import sys
from typing import Any

import socketio
from werkzeug.serving import run_simple

server = socketio.Server(async_mode="threading")


def greet(sid: str, environ: object, auth: object = None) -> None:
    """Send `connected`."""
    server.emit("connected", {}, to=sid)


def subscribe(sid: str, payload: dict[str, Any]) -> None:
    """Confirm the subscription, then send the events."""
    server.emit("subscribed", {"instance_id": payload["instance_id"]}, to=sid)
    about = {"instance_id": payload["instance_id"], "task_id": "t"}
    for progress in (0, 100):
        data: dict[str, Any] = {"progress": progress, "message": "", "timestamp": "2020-01-01T00:00:00Z"}
        server.emit("task_update", {**about, "type": "task_update", "data": data}, to=sid)
    data = {"step_id": "s", "agent": "Old", "action": "work", "status": "completed", "output": 1}
    data |= {"started_at": "2020-01-01T00:00:00Z", "completed_at": "2020-01-01T00:00:01Z"}
    server.emit("execution_step", {**about, "type": "execution_step", "data": data}, to=sid)


if __name__ == "__main__":
    server.on("connect", greet)
    server.on("subscribe_instance", subscribe)
    run_simple("127.0.0.1", int(sys.argv[1]), socketio.WSGIApp(server), threaded=True)
