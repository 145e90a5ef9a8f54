"""Constructs the delivery half of one web process: its clients, their subscriptions, and the Redis subscription."""

from __future__ import annotations

from collections.abc import Callable

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.delivery.clients.client_registry import ClientRegistry
from swallowtail.app.delivery.clients.permission_cache import PermissionCache
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.log.snapshot_cache import SnapshotCache
from swallowtail.app.delivery.message_router import MessageRouter
from swallowtail.app.delivery.metrics import CURSORS_BEHIND
from swallowtail.app.delivery.redis.loop_reader import SocketLoop
from swallowtail.app.delivery.redis.self_check import SelfCheck
from swallowtail.app.delivery.redis.subscriber import Subscriber
from swallowtail.app.delivery.streams.head_check import HeadCheck
from swallowtail.app.delivery.streams.stream_registry import StreamRegistry
from swallowtail.app.delivery.streams.text_streams import TextStreams
from swallowtail.app.delivery.subscriptions import Subscriptions


class Hub:
    """The delivery half of one web process. Safe for threads."""

    def __init__(
        self,
        settings: Settings,
        reader: DatabaseReader,
        transport: Transport,
        on_access: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_access` is called when permissions may have changed, so that all clients should be reviewed soon."""
        self.reader = reader
        self.clients = ClientRegistry(transport)
        self.permissions = PermissionCache(reader, on_access)
        self.subscriber = Subscriber(settings)
        self.streams = StreamRegistry(settings, reader, transport, self.subscriber)
        self.texts = TextStreams(settings, transport, self.subscriber)
        snapshots = SnapshotCache(reader, settings.snapshot_share)
        self.subscriptions = Subscriptions(
            settings, reader, transport, self.clients, self.permissions, self.streams, self.texts, snapshots
        )
        self.head_check = HeadCheck(settings, reader, self.streams.by_instance, snapshots.tidy)
        self.self_check = SelfCheck(settings, self.subscriber)
        self.router = MessageRouter(
            settings, self.subscriber.own, self.streams, self.texts, self.self_check, self.head_check, on_access
        )

    def refresh_gauges(self) -> None:
        """Refresh the gauges that are computed on demand."""
        CURSORS_BEHIND.set(sum(stream.lagging_count for stream in list(self.streams.by_instance.values())))

    def start(self, loop: SocketLoop | None = None) -> None:
        """Start to receive messages, in `loop` if there is one, and to check heads; both may be unavailable."""
        self.subscriber.add(self.router.access)
        self.subscriber.start(self.router.receive, self.router.joined, loop)
        self.self_check.start()
        self.head_check.start()

    def stop(self) -> None:
        """Stop receiving and comparing; streams end with their clients."""
        self.head_check.stop()
        self.self_check.stop()
        self.subscriber.stop()
