"""Routes each message from Redis to the stream, the text readers or the monitor that its channel belongs to."""

from __future__ import annotations

from collections.abc import Callable

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.publisher import access_channel, instance_channel, task_channel
from swallowtail.app.core.security.message_signing import MessageSigner
from swallowtail.app.delivery.metrics import MESSAGES
from swallowtail.app.delivery.redis.self_check import SelfCheck
from swallowtail.app.delivery.streams.head_check import HeadCheck
from swallowtail.app.delivery.streams.stream_registry import StreamRegistry
from swallowtail.app.delivery.streams.text_streams import TextStreams


class MessageRouter:
    """The channels of one web process."""

    def __init__(
        self,
        settings: Settings,
        own: str,
        streams: StreamRegistry,
        texts: TextStreams,
        self_check: SelfCheck,
        head_check: HeadCheck,
        on_access: Callable[[], None],
    ) -> None:
        """`own` is the self-check's channel. `on_access` is called when permissions may have changed."""
        self._own = own
        self._streams = streams.by_instance
        self._texts = texts
        self._self_check = self_check
        self._head_check = head_check
        self._on_access = on_access
        self._signer = MessageSigner(settings, is_strict=settings.strict_delivery)
        self.access = access_channel(settings)
        self._instances = instance_channel(settings, "")
        self._tasks = task_channel(settings, "")

    def receive(self, channel: str, signed: bytes) -> None:
        """Pass a message on. Does not block."""
        if channel == self._own:
            self._self_check.receive(signed)
        elif (message := self._signer.unwrap(channel, signed)) is None:
            MESSAGES.labels("forged").inc()
        elif channel.startswith(self._instances):
            stream = self._streams.get(channel.removeprefix(self._instances))
            if stream is not None:
                stream.receive(message)
        elif channel == self.access:
            self._on_access()
        elif channel.startswith(self._tasks):
            self._texts.receive(channel.removeprefix(self._tasks), message)

    def joined(self, channel: str) -> None:
        """Record that a channel's subscription has started: earlier messages did not arrive."""
        stream = self._streams.get(channel.removeprefix(self._instances))
        if stream is not None:
            stream.joined()
            self._head_check.request_check(stream.instance_id)
        if channel == self._own:
            self._self_check.restart()
        if channel == self.access:
            self._on_access()
