"""Flask-SocketIO's message queue, for other programs' emits into our rooms (docs/protocol.md, section 4).

Beside the road: our own events never travel here. What differs from the stock manager: Redis may be away at any time
and for any while, and is heard again within a second of its return; a publish takes at most `publish_timeout`; and the
server learns the moment at which a connection has been accepted, which is when it may be told so. Under strict delivery
processes of ours sign what they say here; of what others say, only emits of the names that were set are taken.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
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
from swallowtail.app.core.security.message_signing import Voucher
from swallowtail.app.delivery import wire
from swallowtail.app.delivery.metrics import MESSAGES

log = structlog.get_logger(__name__)

#: Events that only we send; under strict delivery nobody may use their names here, where nothing of ours travels.
OURS = frozenset({TASK_UPDATE, EXECUTION_STEP, STEP_OUTPUT, *wire.OWN})
#: Names that mean something to Socket.IO's clients.
RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"})
#: What is taken of another program's emit; no callback, for which we would have to answer.
_OF_AN_EMIT = ("method", "event", "data", "binary", "namespace", "room", "skip_sid", "host_id")


class _Over(BaseException):
    """The listening is over. No `Exception`: the library takes every one of these for a reason to begin again."""


class ClientManager(socketio.RedisManager):  # type: ignore[misc] # the library has no types
    """The client manager of a web process: rooms here, emits of others from Redis."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError when others may emit a name of ours, or the key that is needed is missing."""
        super().__init__(settings.redis, channel=settings.socketio_channel)
        self._settings = settings
        self._voucher = Voucher(settings, is_strict=settings.strict_delivery)
        self._foreign = _read_names(settings.foreign_events)
        #: Called with the id of every connection that has just been accepted.
        self.on_accepted: Callable[[str], None] = _ignore
        #: The rooms of each connection: the stock manager goes through all rooms there are to find them.
        self._rooms_of: dict[str, set[str | None]] = {}
        self._subscriber = RedisSubscriber(settings, settings.socketio_channel)
        self._stopping, self._stopped = threading.Event(), threading.Event()

    def stop(self) -> None:
        """Hear nothing any more, and end the thread that listens."""
        self._stopping.set()
        # The library starts the thread with the first client.
        if hasattr(self, "thread"):
            self._stopped.wait(2 * WAIT)

    def _thread(self) -> None:
        try:
            super()._thread()
        except _Over:
            self._stopped.set()

    def admit(self, heard: bytes) -> Any:
        """Return what is to be done of a message that came by Redis: its JSON, or a part of it; None for nothing."""
        bare = self._voucher.unwrap(self.channel, heard)
        if bare is not None:
            return bare
        try:
            told = orjson.loads(heard)
        except ValueError:
            told = None
        if isinstance(told, dict) and told.get("method") == "emit":
            name = told.get("event")
            if isinstance(name, str) and name in self._foreign:
                return {part: told[part] for part in _OF_AN_EMIT if part in told}
        MESSAGES.labels("forged").inc()
        log.warning("foreign_message_refused", size=len(heard))
        return None

    def _handle_emit(self, message: Any) -> None:
        if self._voucher.is_strict and message.get("event") in OURS:
            log.warning("foreign_emit_refused", name=message["event"])
            return
        try:
            super()._handle_emit(message)
        except Exception as fault:
            # The library tells nobody.
            reason = f"{type(fault).__name__}: {fault}"[:200]
            log.warning("foreign_emit_not_sent", name=message.get("event"), room=message.get("room"), reason=reason)

    def _publish(self, data: Any) -> None:
        if not self._voucher.is_strict:
            super()._publish(data)
            return
        if not self._subscriber.is_connected:
            log.warning("message_queue_publish_failed", reason="Redis is away")
            return
        if not self.connected:
            self._redis_connect()
        try:
            self.redis.publish(self.channel, self._voucher.wrap(self.channel, self.json.dumps(data).encode()))
        except (redis.RedisError, OSError) as fault:
            log.warning("message_queue_publish_failed", reason=str(fault))

    def _listen(self) -> Iterator[Any]:
        for reply in self._subscriber.replies(self._stopping):
            if reply is not None and reply[0] == b"message":
                content = self.admit(reply[2])
                if isinstance(content, bytes):
                    content = _read(content)
                if content is not None:
                    yield content
        raise _Over

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
        self.connected = True


def _read(heard: bytes) -> Any:
    """Return a message as JSON; None, and a line in the log, for one that is none.

    Python's own programs write NaN and lone surrogates, which are no JSON: those are read, and sent on as null and as
    escapes.
    """
    try:
        return orjson.loads(heard)
    except ValueError:
        pass
    try:
        return json.loads(heard)
    except (ValueError, RecursionError) as fault:
        MESSAGES.labels("unreadable").inc()
        log.warning("foreign_message_unreadable", size=len(heard), reason=str(fault)[:200])
        return None


def _read_names(listed: str) -> frozenset[str]:
    names = frozenset(filter(None, (name.strip() for name in listed.split(","))))
    if wrong := sorted(names & (OURS | RESERVED)):
        message = f"SWALLOWTAIL_FOREIGN_EVENTS: nobody else may emit {wrong[0]}"
        raise SettingsError(message, field="SWALLOWTAIL_FOREIGN_EVENTS")
    return names


def _ignore(sid: str) -> None:
    """Stand in until the handlers are registered."""
