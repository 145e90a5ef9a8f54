"""Flask-SocketIO's message queue, for other programs' emits into our rooms (docs/protocol.md, section 4).

Beside the road: our own events never travel here. What differs from the stock manager: Redis may be away at any time
and for any while, and is heard again within a second of its return; a publish takes at most `publish_timeout`; and the
server learns the moment at which a connection has been accepted, which is when it may be told so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
import socketio
import structlog

from app.core.broadcast import connect
from app.core.events import EXECUTION_STEP, STEP_OUTPUT, TASK_UPDATE
from app.core.settings import Settings
from app.delivery import wire

log = structlog.get_logger(__name__)

#: First and longest pause, in seconds, before connecting again.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: How long one wait for a message lasts, and after how many silent ones Redis is asked for a sign of life.
WAIT = 2.0
#: Silent waits after which Redis is given up.
SILENT_WAITS = 3
#: Events that only we send; under strict delivery nobody else may use their names.
OURS = frozenset({TASK_UPDATE, EXECUTION_STEP, STEP_OUTPUT, *wire.OWN})


class MessageQueue(socketio.RedisManager):  # type: ignore[misc] # the library has no types
    """The client manager of a web process: rooms here, emits of others from Redis."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.redis, channel=settings.socketio_channel)
        self._settings = settings
        #: Called with the id of every connection that has just been accepted.
        self.on_accepted: Callable[[str], None] = _ignore
        #: The rooms of each connection: the stock manager goes through all rooms there are to find them.
        self._rooms_of: dict[str, set[str | None]] = {}

    def _handle_emit(self, message: Any) -> None:
        if self._settings.strict_delivery and message.get("event") in OURS:
            log.warning("foreign_emit_refused", name=message["event"])
            return
        super()._handle_emit(message)

    def _handle_callback(self, message: Any) -> None:
        if not self._settings.strict_delivery:
            super()._handle_callback(message)

    def _handle_enter_room(self, message: Any) -> None:
        if not self._settings.strict_delivery:
            super()._handle_enter_room(message)

    def _handle_leave_room(self, message: Any) -> None:
        if not self._settings.strict_delivery:
            super()._handle_leave_room(message)

    def _handle_close_room(self, message: Any) -> None:
        if not self._settings.strict_delivery:
            super()._handle_close_room(message)

    def connect(self, sid: str, namespace: str) -> str:
        """Note an accepted connection. The library calls this right after it has told the client."""
        accepted: str = super().connect(sid, namespace)
        if namespace == "/":
            self.on_accepted(accepted)
        return accepted

    def basic_enter_room(self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None) -> None:
        """Put a connection into a room."""
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        self._rooms_of.setdefault(sid, set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        """Take a connection out of a room."""
        super().basic_leave_room(sid, namespace, room)
        self._rooms_of.get(sid, set()).discard(room)

    def basic_disconnect(self, sid: str, namespace: str, **_: Any) -> None:
        """Forget a connection, at a cost that depends on its own rooms only."""
        for room in self._rooms_of.pop(sid, set()):
            super().basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            waiting = pending.get(namespace, [])
            if sid in waiting:
                waiting.remove(sid)
                if not waiting:
                    del pending[namespace]

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        """Return the rooms of a connection."""
        return [room for room in self._rooms_of.get(sid, ()) if room is not None]

    def _redis_connect(self) -> None:
        self.redis = connect(self._settings)
        self.pubsub = self.redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self.connected = True

    def _redis_listen_with_retries(self) -> Iterator[dict[str, Any]]:
        pause = FIRST_PAUSE
        while True:
            try:
                self._redis_connect()
                self.pubsub.subscribe(self.channel)
                for message in self._hear():
                    pause = FIRST_PAUSE
                    if message["type"] == "message":
                        yield message
            except (redis.RedisError, OSError) as fault:
                log.warning("message_queue_lost", reason=str(fault))
            self._let_go()
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _hear(self) -> Iterator[dict[str, Any]]:
        silent = 0
        while silent < SILENT_WAITS:
            message = self.pubsub.get_message(timeout=WAIT)
            if message is not None:
                silent = 0
                yield message
            else:
                silent += 1
                self.pubsub.ping()

    def _let_go(self) -> None:
        self.connected = False
        try:
            self.pubsub.close()
            self.redis.close()
        except (redis.RedisError, OSError, AttributeError):
            return


def _ignore(sid: str) -> None:
    """Stand in until the handlers are registered."""
