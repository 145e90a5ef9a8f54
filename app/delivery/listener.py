"""One web process's ear at Redis: on a channel only while somebody here wants it. On the road before the hub.

Pub/sub messages are hints. When the connection breaks, the listener is back within a second of Redis, subscribes to
everything that is wanted again, and says so, because whatever was published meanwhile is lost.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import redis
import structlog

from app.core.broadcast import connect
from app.core.settings import Settings
from app.delivery.counters import RECONNECTS

log = structlog.get_logger(__name__)

#: First and longest pause, in seconds, before connecting again.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: How long one wait for a message lasts; a listener that is to stop notices within this time.
WAIT = 0.5
#: Silence after which Redis is asked whether it is still there, and after which it is given up.
ASK_AFTER, GIVE_UP_AFTER = 3.0, 6.0


class Listener:
    """Hears channels. `hear(channel, message)` and `joined(channel)` are called from its thread and must not block."""

    def __init__(self, settings: Settings, hear: Callable[[str, bytes], None], joined: Callable[[str], None]) -> None:
        """`joined` is called whenever a subscription has begun: what was published before it was not heard."""
        self._settings = settings
        self._hear = hear
        self._joined = joined
        #: Always wanted, so that the connection can be waited on; what is published here comes back to this process.
        self.own = f"{settings.channel_prefix}:hub:{uuid.uuid4().hex}"
        self._wanted: set[str] = set()
        self._lock = threading.Lock()
        self._pubsub: Any = None
        self._renewal: str | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_connected(self) -> bool:
        """Whether Redis answered at its last occasion."""
        return self._pubsub is not None

    def start(self) -> None:
        """Listen in a thread from now on; Redis may be away."""
        self._thread = threading.Thread(target=self._run, name="redis-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=WAIT * 2)

    def add(self, channel: str) -> None:
        """Want a channel. Without Redis it is subscribed to as soon as Redis is back."""
        with self._lock:
            self._wanted.add(channel)
            self._command("subscribe", channel)

    def discard(self, channel: str) -> None:
        """Want a channel no more."""
        with self._lock:
            self._wanted.discard(channel)
            self._command("unsubscribe", channel)

    def renew(self, reason: str) -> None:
        """Drop the connection and make another, within `WAIT` seconds. Does nothing while there is none."""
        with self._lock:
            if self._pubsub is not None:
                self._renewal = reason

    def _command(self, name: str, channel: str) -> None:
        if self._pubsub is None:
            return
        try:
            getattr(self._pubsub, name)(channel)
        except (redis.RedisError, OSError):
            # The thread meets the same fault, connects again, and subscribes to what is wanted then.
            return

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            client = connect(self._settings, silence=WAIT)
            try:
                self._subscribe(client)
                pause = FIRST_PAUSE
                self._listen()
            except Exception as fault:
                # Any error: a connection that `add` uses too can break in ways of its own.
                log.warning("redis_lost", reason=str(fault))
                RECONNECTS.inc()
            finally:
                self._close(client)
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _subscribe(self, client: redis.Redis) -> None:
        pubsub: Any = client.pubsub()  # type: ignore[no-untyped-call] # the library has no type here
        pubsub.subscribe(self.own)
        # An answer, not only a connection: a server that hangs accepts connections too.
        if pubsub.get_message(timeout=self._settings.publish_timeout) is None:
            pubsub.close()
            raise redis.TimeoutError("no answer to a subscription")
        with self._lock:
            self._pubsub, self._renewal = pubsub, None
            if self._wanted:
                pubsub.subscribe(*self._wanted)
        self._joined(self.own)

    def _listen(self) -> None:
        heard_at = time.monotonic()
        asked = False
        while not self._stopping.is_set():
            message = self._next()
            now = time.monotonic()
            if self._renewal is not None:
                raise redis.ConnectionError(self._renewal)
            if message is not None:
                heard_at, asked = now, False
                self._take(message)
            elif now - heard_at > GIVE_UP_AFTER:
                raise redis.TimeoutError("no sign of life")
            elif now - heard_at > ASK_AFTER and not asked:
                asked = True
                with self._lock:
                    self._pubsub.ping()

    def _next(self) -> dict[str, Any] | None:
        """Wait for a message up to `WAIT` seconds.

        Not `get_message`, which asks whether there is something to read before it reads: that took longer than sending
        the message to fifty clients.
        """
        try:
            response = self._pubsub.connection.read_response(disconnect_on_error=False)
        except redis.TimeoutError:
            return None
        message: dict[str, Any] | None = self._pubsub.handle_message(response)
        return message

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "message":
            self._hear(message["channel"].decode(), message["data"])
        elif message["type"] == "subscribe":
            self._joined(message["channel"].decode())

    def _close(self, client: redis.Redis) -> None:
        with self._lock:
            pubsub, self._pubsub = self._pubsub, None
        for connection in (pubsub, client):
            if connection is not None:
                try:
                    connection.close()
                except (redis.RedisError, OSError):
                    continue
