"""Manages rooms, and receives other programs' emits from Redis (docs/protocol.md, section 4).

The server's own events do not use this channel. Unlike the stock manager, it survives any outage of Redis and receives
again within a second, and a publish takes at most `publish_timeout`. Under strict delivery our own processes sign their
messages here; of other messages, only emits of configured names count.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
import redis
import socketio
import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.events import EXECUTION_STEP, STEP_OUTPUT, TASK_UPDATE
from swallowtail.app.core.redis.connection import connect
from swallowtail.app.core.redis.subscriber import WAIT, RedisSubscriber
from swallowtail.app.core.security.message_signing import MessageSigner
from swallowtail.app.delivery import wire
from swallowtail.app.delivery.metrics import MESSAGES
from swallowtail.app.web.engineio.packets import RESERVED

log = structlog.get_logger(__name__)

#: Events that only the server sends, on other channels; under strict delivery nothing else may use their names here.
SERVER_EVENTS = frozenset({TASK_UPDATE, EXECUTION_STEP, STEP_OUTPUT, *wire.SERVER_ONLY})
#: Members of another program's emit that count; a callback does not, since the server would have to answer it.
_EMIT_MEMBERS = ("method", "event", "data", "binary", "namespace", "room", "skip_sid", "host_id")


class _Stopped(BaseException):
    """Ends the listening thread. Not an `Exception`: the library listens again after each of those."""


class _Subscriber(RedisSubscriber):
    """The subscription to the channel of emits."""

    events = ("message_queue_lost", "message_queue_back")


class ClientManager(socketio.RedisManager):  # type: ignore[misc] # the library has no types
    """The client manager of a web process: its rooms, and emits of other programs from Redis."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError if a foreign event has a reserved name, or the signing key is missing."""
        super().__init__(settings.redis, channel=settings.socketio_channel)
        self._settings = settings
        self._signer = MessageSigner(settings, is_strict=settings.strict_delivery)
        self._foreign = _read_names(settings.foreign_events)
        #: The rooms of each connection: the stock manager would search all rooms for them.
        self._rooms_of: dict[str, set[str | None]] = {}
        self._subscriber: RedisSubscriber = _Subscriber(settings, settings.socketio_channel)
        self._stopping, self._stopped = threading.Event(), threading.Event()

    def stop(self) -> None:
        """End the listening thread."""
        self._stopping.set()
        # The library starts the thread with the first client.
        if hasattr(self, "thread"):
            self._stopped.wait(2 * WAIT)

    def _thread(self) -> None:
        try:
            super()._thread()
        except _Stopped:
            self._stopped.set()

    def verify(self, data: bytes) -> Any:
        """Return the JSON of a message from Redis, or its allowed members; None to ignore the message."""
        content = self._signer.unwrap(self.channel, data)
        if content is not None:
            return content
        try:
            message = orjson.loads(data)
        except ValueError:
            message = None
        if isinstance(message, dict) and message.get("method") == "emit":
            name = message.get("event")
            if isinstance(name, str) and name in self._foreign:
                return {member: message[member] for member in _EMIT_MEMBERS if member in message}
        MESSAGES.labels("forged").inc()
        log.warning("foreign_message_refused", size=len(data))
        return None

    def _handle_emit(self, message: Any) -> None:
        if self._signer.is_strict and message.get("event") in SERVER_EVENTS:
            log.warning("foreign_emit_refused", name=message["event"])
            return
        try:
            super()._handle_emit(message)
        except Exception as error:
            # The library does not log it.
            reason = f"{type(error).__name__}: {error}"[:200]
            log.warning("foreign_emit_not_sent", name=message.get("event"), room=message.get("room"), reason=reason)

    def _publish(self, data: Any) -> None:
        if not self._signer.is_strict:
            super()._publish(data)
            return
        if not self._subscriber.is_connected:
            log.warning("message_queue_publish_failed", reason="Redis is unavailable")
            return
        if not self.connected:
            self._redis_connect()
        try:
            self.redis.publish(self.channel, self._signer.wrap(self.channel, self.json.dumps(data).encode()))
        except (redis.RedisError, OSError) as error:
            log.warning("message_queue_publish_failed", reason=str(error))

    def _listen(self) -> Iterator[Any]:
        for reply in self._subscriber.replies(self._stopping):
            if reply is not None and reply[0] == b"message":
                content = self.verify(reply[2])
                if isinstance(content, bytes):
                    content = _read(content)
                if content is not None:
                    yield content
        raise _Stopped

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
        # python-socketio 5.16 knows no connection that has not been accepted yet.
        for pending in (getattr(self, "pending_connect", {}), self.pending_disconnect):
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
        self.connected = True


def _read(data: bytes) -> Any:
    """Return a message as JSON; None, and a log line, if it is not JSON."""
    with suppress(ValueError):
        return orjson.loads(data)
    try:
        # Python programs write NaN and lone surrogates, which are not JSON; they are sent as null and as escapes.
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        MESSAGES.labels("unreadable").inc()
        log.warning("foreign_message_unreadable", size=len(data), reason=str(error)[:200])
        return None


def _read_names(listed: str) -> frozenset[str]:
    names = frozenset(filter(None, (name.strip() for name in listed.split(","))))
    if wrong := sorted(names & (SERVER_EVENTS | RESERVED)):
        message = f"SWALLOWTAIL_FOREIGN_EVENTS: {wrong[0]} is reserved"
        raise SettingsError(message, field="SWALLOWTAIL_FOREIGN_EVENTS")
    return names
