"""Starts an instance's stream with its first client in this process, and ends it after its last."""

from __future__ import annotations

import threading

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.publisher import instance_channel
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.metrics import INSTANCES
from swallowtail.app.delivery.redis.subscriber import Subscriber
from swallowtail.app.delivery.streams.instance_stream import InstanceStream
from swallowtail.app.delivery.wire import SubscriptionStart


class StreamRegistry:
    """The streams of one web process, each with its thread and its Redis channel. Safe for threads."""

    def __init__(
        self, settings: Settings, reader: DatabaseReader, transport: Transport, subscriber: Subscriber
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._transport = transport
        self._subscriber = subscriber
        #: An innermost lock: its holder waits for nothing and sends nothing.
        self._lock = threading.Lock()
        #: By instance. Reading it takes no lock.
        self.by_instance: dict[str, InstanceStream] = {}

    def find(self, instance_id: str) -> InstanceStream | None:
        """Return an instance's stream if there is one, and keep it from ending until `release`."""
        with self._lock:
            stream = self.by_instance.get(instance_id)
            if stream is not None:
                stream.holds += 1
        return stream

    def find_or_start(self, instance_id: str, start: SubscriptionStart) -> InstanceStream:
        """Return an instance's stream, started if need be, and keep it from ending until `release`."""
        with self._lock:
            stream = self.by_instance.get(instance_id)
            if stream is not None:
                stream.holds += 1
                return stream
            after = start.seq if start.mode == "replay" else None
            stream = InstanceStream(instance_id, start.head, self._settings, self._reader, self._transport, after=after)
            stream.holds += 1
            name = f"stream-{instance_id}"
            threading.Thread(target=stream.run, args=(self._may_end,), name=name, daemon=True).start()
            self.by_instance[instance_id] = stream
        INSTANCES.set(len(self.by_instance))
        self._subscriber.add(instance_channel(self._settings, instance_id))
        return stream

    def release(self, stream: InstanceStream) -> None:
        """Let a stream end that was held."""
        with self._lock:
            stream.holds -= 1
        if stream.is_idle:
            # The stream may have been held when it was about to end.
            stream.wake()

    def _may_end(self, stream: InstanceStream) -> bool:
        instance_id = stream.instance_id
        with self._lock:
            if stream.holds or not stream.is_idle:
                return False
            del self.by_instance[instance_id]
        INSTANCES.set(len(self.by_instance))
        channel = instance_channel(self._settings, instance_id)
        self._subscriber.discard(channel, lambda: instance_id in self.by_instance)
        return True
