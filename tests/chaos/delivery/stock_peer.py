"""Stock Flask-SocketIO with its Redis message queue, for comparison, set up as in its documentation.

The server is in `stock_server`; this module starts it as a process, with the emitter and the client that the same
documentation recommends. Numbered notes stand for events.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import socketio

from tests.harness.program import Program
from tests.harness.servers import RedisServer
from tests.harness.system.ports import answers, free_port

ROOM, NOTE = "instance_demo", "note"
#: The standard library is patched before any other import, as the documentation requires.
PROGRAM = (
    "import eventlet; eventlet.monkey_patch(); "
    "import runpy; runpy.run_module('tests.chaos.delivery.stock_server', run_name='__main__')"
)


class StockServer(Program):
    """The server as a process. A restart keeps the port."""

    def __init__(self, directory: Path, redis_url: str, env: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            "stock",
            [sys.executable, "-W", "ignore", "-c", PROGRAM],
            log=directory / "stock.log",
            env={"STOCK_REDIS": redis_url, "STOCK_PORT": str(self.port), **(env or {})},
            cwd=directory,
        )

    def ready(self) -> bool:
        """Return whether it accepts connections."""
        return answers(self.port)


class StockEmitter:
    """Emits numbered notes through Redis, as another process would, in a thread until the end of its block."""

    def __init__(self, redis: RedisServer, pause: float) -> None:
        # The first argument of the library's own manager; the server listens on the same channel.
        self._manager = socketio.RedisManager(redis.url, channel="flask-socketio", write_only=True)
        self._pause = pause
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0

    def emit(self) -> int:
        """Emit the next note; return its number."""
        self.sent += 1
        number = self.sent
        self._manager.emit(NOTE, {"n": number}, room=ROOM)
        return number

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._manager.redis.close()

    def _run(self) -> None:
        while not self._done.is_set():
            self.emit()
            time.sleep(self._pause)


class StockClient:
    """A client that reconnects by itself and then joins its room again."""

    def __init__(self, url: str) -> None:
        self.notes: list[int] = []
        self.subscriptions = 0
        self._client = socketio.Client(
            reconnection_delay=0.05, reconnection_delay_max=0.2, handle_sigint=False, logger=False
        )
        self._client.on("connect", lambda: self._client.emit("subscribe_instance", {"instance_id": "demo"}))
        self._client.on("subscribed", self._count)
        self._client.on(NOTE, lambda note: self.notes.append(note["n"]))
        self._client.connect(url, transports=["websocket"], wait_timeout=30)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.shutdown()

    def _count(self, _: Any) -> None:
        self.subscriptions += 1
