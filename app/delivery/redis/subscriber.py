"""Subscribes one web process to the Redis channels that its clients need, and reconnects whenever Redis was away.

Pub/sub messages may be lost. After a reconnection, within a second of Redis's return, the subscriber subscribes to all
wanted channels again and reports each, because what was published meanwhile did not arrive.
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
from swallowtail.app.delivery.redis.loop_reader import Loop, LoopReader

log = structlog.get_logger(__name__)

#: First and longest pause, in seconds, before connecting again.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: How long one wait for a message lasts, in seconds; a stop takes effect within this time.
WAIT = 0.5
#: Silence, in seconds, after which Redis is sent a ping, and after which the connection is closed.
ASK_AFTER, GIVE_UP_AFTER = 3.0, 6.0


class Subscriber:
    """The Redis subscriptions of one web process. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._receive: Callable[[str, bytes], None]
        self._joined: Callable[[str], None]
        #: Always subscribed to, so that the connection can be waited on; the self-check publishes here.
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
        """Whether a subscription is open."""
        return self._pubsub is not None

    def start(
        self, receive: Callable[[str, bytes], None], joined: Callable[[str], None], loop: Loop | None = None
    ) -> None:
        """Start to receive; Redis may be away.

        `receive(channel, message)` and `joined(channel)` must not block. `joined` is called whenever a subscription has
        started: earlier messages did not arrive. With a loop, messages are received in it, and the thread only keeps
        the connection.
        """
        self._receive, self._joined, self._loop = receive, joined, loop
        self._thread = threading.Thread(target=self._run, name="redis_subscriber", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=WAIT * 2)

    def add(self, channel: str) -> None:
        """Subscribe to a channel, as soon as Redis is there."""
        with self._lock:
            self._wanted.add(channel)
            self._command("subscribe", channel)

    def discard(self, channel: str, is_wanted: Callable[[], bool]) -> None:
        """Unsubscribe from a channel, unless `is_wanted` says that another client needs it by now."""
        with self._lock:
            self._wanted.discard(channel)
            self._command("unsubscribe", channel)
        if is_wanted():
            self.add(channel)

    def renew(self, reason: str) -> None:
        """Replace the connection within `WAIT` seconds. Does nothing while there is none."""
        with self._lock:
            if self._pubsub is not None:
                self._renewal = reason

    def _command(self, name: str, channel: str) -> None:
        if self._pubsub is None:
            return
        try:
            getattr(self._pubsub, name)(channel)
        except (redis.RedisError, OSError):
            # The thread meets the same fault, reconnects, and subscribes to all wanted channels.
            return

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            client = connect(self._settings, silence=WAIT)
            try:
                self._subscribe(client)
                pause = FIRST_PAUSE
                # Only the library can read an encrypted connection.
                if self._loop is None or isinstance(self._pubsub.connection, redis.SSLConnection):
                    self._read_in_thread()
                else:
                    self._read_in_loop(self._loop)
            except Exception as fault:
                # Any error: `add` uses the connection too, and may break it.
                log.warning("redis_lost", reason=str(fault))
                RECONNECTS.inc()
            finally:
                self._close(client)
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _subscribe(self, client: redis.Redis) -> None:
        pubsub: Any = client.pubsub()  # type: ignore[no-untyped-call] # the library has no type here
        pubsub.subscribe(self.own)
        # Waits for the reply: a server that hangs accepts connections too.
        if pubsub.get_message(timeout=self._settings.publish_timeout) is None:
            pubsub.close()
            raise redis.TimeoutError("no reply to a subscription")
        with self._lock:
            self._pubsub, self._renewal = pubsub, None
            if self._wanted:
                pubsub.subscribe(*self._wanted)
        self._joined(self.own)

    def _read_in_loop(self, loop: Loop) -> None:
        """Let the loop read, and check that Redis still replies."""
        reader = LoopReader(loop, self._pubsub.connection._sock, self._receive_reply)
        asked_at = 0.0
        reader.open()
        try:
            while not reader.ended.wait(WAIT):
                if self._stopping.is_set():
                    return
                asked_at = self._check_silence(reader.received_at, asked_at)
            raise reader.fault
        finally:
            reader.close()

    def _read_in_thread(self) -> None:
        received_at, asked_at = time.monotonic(), 0.0
        while not self._stopping.is_set():
            reply = self._next()
            if reply is not None:
                received_at = time.monotonic()
                self._receive_reply(reply)
            asked_at = self._check_silence(received_at, asked_at)

    def _check_silence(self, received_at: float, asked_at: float) -> float:
        """Ping a silent Redis, or close the connection; returns when Redis was pinged last."""
        now = time.monotonic()
        if self._renewal is not None:
            raise redis.ConnectionError(self._renewal)
        if now - received_at > GIVE_UP_AFTER:
            raise redis.TimeoutError("no reply to a ping")
        if now - received_at > ASK_AFTER and asked_at < received_at:
            with self._lock:
                self._pubsub.ping()
            return now
        return asked_at

    def _next(self) -> Any:
        """Wait for a reply up to `WAIT` seconds.

        Not `get_message`, which polls the socket before it reads: that took longer than sending the message to fifty
        clients.
        """
        try:
            return self._pubsub.connection.read_response(disconnect_on_error=False)
        except redis.TimeoutError:
            return None

    def _receive_reply(self, reply: Any) -> None:
        if reply[0] == b"message":
            self._receive(reply[1].decode(), reply[2])
            return
        message = self._pubsub.handle_message(reply)
        if message is not None and message["type"] == "subscribe":
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
