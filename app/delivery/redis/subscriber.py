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

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.publisher import connect
from swallowtail.app.delivery.metrics import RECONNECTS
from swallowtail.app.delivery.redis.loop_reader import Ear, Loop

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
        self._loop: Loop | None = None

    @property
    def is_connected(self) -> bool:
        """Whether Redis answered at its last occasion."""
        return self._pubsub is not None

    def start(self, loop: Loop | None = None) -> None:
        """Listen from now on; Redis may be away. With a loop, messages are heard in it, and the thread only looks after
        the connection.
        """
        self._loop = loop
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
                # What is encrypted only the library can read.
                if self._loop is None or isinstance(self._pubsub.connection, redis.SSLConnection):
                    self._listen()
                else:
                    self._attend(self._loop)
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

    def _attend(self, loop: Loop) -> None:
        """Have the loop read, and look whether Redis is still there."""
        ear = Ear(loop, self._pubsub.connection._sock, self._hear_reply)
        asked_at = 0.0
        ear.open()
        try:
            while not ear.ended.wait(WAIT):
                if self._stopping.is_set():
                    return
                asked_at = self._check_silence(ear.heard_at, asked_at)
            raise ear.fault
        finally:
            ear.close()

    def _listen(self) -> None:
        heard_at, asked_at = time.monotonic(), 0.0
        while not self._stopping.is_set():
            reply = self._next()
            if reply is not None:
                heard_at = time.monotonic()
                self._hear_reply(reply)
            asked_at = self._check_silence(heard_at, asked_at)

    def _check_silence(self, heard_at: float, asked_at: float) -> float:
        """Ask a silent Redis for a sign of life, or give the connection up; returns when Redis was last asked."""
        now = time.monotonic()
        if self._renewal is not None:
            raise redis.ConnectionError(self._renewal)
        if now - heard_at > GIVE_UP_AFTER:
            raise redis.TimeoutError("no sign of life")
        if now - heard_at > ASK_AFTER and asked_at < heard_at:
            with self._lock:
                self._pubsub.ping()
            return now
        return asked_at

    def _next(self) -> Any:
        """Wait for a reply up to `WAIT` seconds.

        Not `get_message`, which asks whether there is something to read before it reads: that took longer than sending
        the message to fifty clients.
        """
        try:
            return self._pubsub.connection.read_response(disconnect_on_error=False)
        except redis.TimeoutError:
            return None

    def _hear_reply(self, reply: Any) -> None:
        if reply[0] == b"message":
            self._hear(reply[1].decode(), reply[2])
            return
        told = self._pubsub.handle_message(reply)
        if told is not None and told["type"] == "subscribe":
            self._joined(reply[1].decode())

    def _close(self, client: redis.Redis) -> None:
        with self._lock:
            pubsub, self._pubsub = self._pubsub, None
        for connection in (pubsub, client):
            if connection is not None:
                try:
                    connection.close()
                except (redis.RedisError, OSError):
                    continue
