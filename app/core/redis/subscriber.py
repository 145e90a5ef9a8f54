"""Receives the messages of Redis channels, and reconnects and subscribes again when the connection is lost.

Messages that are published meanwhile are lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import redis
import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.outage import OutageLog
from swallowtail.app.core.redis.connection import connect

log = structlog.get_logger(__name__)

#: First pause, in seconds, before a reconnection; the longest is twice `wait`.
FIRST_PAUSE = 0.05
#: How long one wait for a message lasts by default, in seconds; a stop takes effect within this time.
WAIT = 0.5
#: Silence, in seconds, after which Redis is sent a ping, and after which the connection is closed.
PING_AFTER, CLOSE_AFTER = 3.0, 6.0


class RedisSubscriber:
    """One subscribed connection. One thread reads; any thread may add and discard channels."""

    #: The events of an outage.
    events = ("redis_lost", "redis_back")

    def __init__(self, settings: Settings, channel: str, *, wait: float = WAIT) -> None:
        """`channel` is always subscribed to: its confirmation proves that Redis replies."""
        self.outage = OutageLog(log, *self.events)
        self._settings = settings
        self._channel = channel
        self._wait = wait
        self._wanted: set[str] = set()
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._pubsub: Any = None
        self._renewal: str | None = None
        self._pinged_at = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether a subscription is open."""
        return self._pubsub is not None

    def add(self, channel: str) -> None:
        """Subscribe to a channel, now or after the next connection."""
        with self._lock:
            self._wanted.add(channel)
            self._send(lambda pubsub: pubsub.subscribe(channel))

    def discard(self, channel: str, is_wanted: Callable[[], bool]) -> None:
        """Unsubscribe from a channel, unless `is_wanted` returns true by now."""
        with self._lock:
            self._wanted.discard(channel)
            self._send(lambda pubsub: pubsub.unsubscribe(channel))
        if is_wanted():
            self.add(channel)

    def renew(self, reason: str) -> None:
        """Replace the connection within one `wait`, if there is one."""
        with self._lock:
            if self._pubsub is not None:
                self._renewal = reason

    def replies(self, stopping: threading.Event) -> Generator[Any]:
        """Yield replies, such as `[b"message", channel, data]`, until `stopping` is set, and None after a vain wait."""
        pause = FIRST_PAUSE
        while not stopping.is_set():
            try:
                self.open()
                pause = FIRST_PAUSE
                yield from self.read_until(stopping)
            except Exception as fault:
                # Any error: `add` uses the connection too, and may break it.
                if not stopping.is_set():
                    self.record_loss(fault)
            finally:
                self._close()
            stopping.wait(pause)
            pause = min(pause * 2, 2 * self._wait)
            yield None

    def record_loss(self, fault: Exception) -> None:
        """Log why the connection was lost, once until it is open again."""
        self.outage.begin(fault)

    def open(self) -> None:
        """Connect, and subscribe to all wanted channels."""
        self._client = connect(self._settings, silence=self._wait)
        pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call] # the library has no type here
        pubsub.subscribe(self._channel)
        # Waits for the reply: a server that hangs accepts connections too.
        if pubsub.get_message(timeout=self._settings.publish_timeout) is None:
            pubsub.close()
            raise redis.TimeoutError("no reply to a subscription")
        with self._lock:
            self._pubsub, self._renewal = pubsub, None
            if self._wanted:
                pubsub.subscribe(*self._wanted)
        self.outage.end()

    def read_until(self, stopping: threading.Event) -> Iterator[Any]:
        """Yield the replies of one connection, and None after each wait without one."""
        received_at = time.monotonic()
        while not stopping.is_set():
            reply = self._read()
            if reply is not None:
                received_at = time.monotonic()
            self._check_silence(received_at)
            yield reply

    def _read(self) -> Any:
        # Not `get_message`, which polls the socket before it reads: that took longer than sending to fifty clients.
        try:
            return self._pubsub.connection.read_response(disconnect_on_error=False)
        except redis.TimeoutError:
            return None

    def _check_silence(self, received_at: float) -> None:
        """Ping a silent Redis, or raise the reason to close the connection."""
        now = time.monotonic()
        if self._renewal is not None:
            raise redis.ConnectionError(self._renewal)
        if now - received_at > CLOSE_AFTER:
            raise redis.TimeoutError("no reply to a ping")
        if now - received_at > PING_AFTER and self._pinged_at < received_at:
            with self._lock:
                self._pubsub.ping()
            self._pinged_at = now

    def _send(self, command: Callable[[Any], object]) -> None:
        if self._pubsub is not None:
            # After an error, the reading thread reconnects and subscribes to all wanted channels.
            with suppress(redis.RedisError, OSError):
                command(self._pubsub)

    def _close(self) -> None:
        with self._lock:
            connections, self._pubsub, self._client = (self._pubsub, self._client), None, None
        for connection in connections:
            if connection is not None:
                with suppress(redis.RedisError, OSError):
                    connection.close()
