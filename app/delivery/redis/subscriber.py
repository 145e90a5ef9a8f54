"""Subscribes one web process to the Redis channels that its clients need, in a thread or in the event loop."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import redis
import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.redis.subscriber import WAIT, RedisSubscriber
from swallowtail.app.delivery.metrics import RECONNECTS
from swallowtail.app.delivery.redis.loop_reader import LoopReader, SocketLoop

log = structlog.get_logger(__name__)


class Subscriber(RedisSubscriber):
    """The Redis subscriptions of one web process. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        #: The channel that the self-check publishes to.
        self.own = f"{settings.channel_prefix}:hub:{uuid.uuid4().hex}"
        super().__init__(settings, self.own)
        self._receive: Callable[[str, bytes], None]
        self._joined: Callable[[str], None]
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: SocketLoop | None = None

    def start(
        self, receive: Callable[[str, bytes], None], joined: Callable[[str], None], loop: SocketLoop | None = None
    ) -> None:
        """Start to receive, in `loop` if there is one; the thread then only keeps the connection. Redis may be away.

        `receive(channel, message)` and `joined(channel)` must not block. `joined` is called whenever a subscription has
        started: earlier messages did not arrive.
        """
        self._receive, self._joined, self._loop = receive, joined, loop
        self._thread = threading.Thread(target=self._run, name="redis_subscriber", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=WAIT * 2)

    def _run(self) -> None:
        for _ in self.replies(self._stopping):
            pass

    def open(self) -> None:
        """See `RedisSubscriber.open`; also reports the start of the subscription."""
        super().open()
        self._joined(self.own)

    def record_loss(self, fault: Exception) -> None:
        """Log and count why the connection was lost, or given up: the error of a handler may have skipped replies."""
        if isinstance(fault, (redis.RedisError, OSError)):
            super().record_loss(fault)
        else:
            log.exception("handler_failed")
        RECONNECTS.inc()

    def read_until(self, stopping: threading.Event) -> Iterator[Any]:
        """See `RedisSubscriber.read_until`; the handlers receive the replies, here or in the loop."""
        # Only the library can read an encrypted connection.
        if self._loop is None or isinstance(self._pubsub.connection, redis.SSLConnection):
            for reply in super().read_until(stopping):
                if reply is not None:
                    self._receive_reply(reply)
                yield None
            return
        reader = LoopReader(self._loop, self._pubsub.connection._sock, self._receive_reply)
        reader.open()
        try:
            while not reader.ended.wait(WAIT):
                if stopping.is_set():
                    return
                self._check_silence(reader.received_at)
            raise reader.fault
        finally:
            reader.close()

    def _receive_reply(self, reply: Any) -> None:
        if reply[0] == b"message":
            self._receive(reply[1].decode(), reply[2])
            return
        message = self._pubsub.handle_message(reply)
        if message is not None and message["type"] == "subscribe":
            self._joined(reply[1].decode())
