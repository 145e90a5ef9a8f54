"""Publishes committed events, live state and text to Redis channels, and names the channels.

A publication takes at most `publish_timeout` seconds and never raises. It may be lost: the head check of the web
processes notices that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import redis
import structlog
from prometheus_client import Counter

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.events import EventRecord, LiveState, TextPiece, to_json
from swallowtail.app.core.process.circuit_breaker import CircuitBreaker
from swallowtail.app.core.redis.connection import connect
from swallowtail.app.core.security.message_signing import MessageSigner

log = structlog.get_logger(__name__)

PUBLISHED = Counter("swallowtail_published_total", "Messages published to Redis", ["kind"])
PUBLISH_FAILURES = Counter("swallowtail_publish_failures_total", "Messages that could not be published", ["kind"])


def instance_channel(settings: Settings, instance_id: str) -> str:
    """Return the name of the channel of an instance's events and live state."""
    return f"{settings.channel_prefix}:instance:{instance_id}"


def task_channel(settings: Settings, task_id: str) -> str:
    """Return the name of the channel of a task's streamed text."""
    return f"{settings.channel_prefix}:task:{task_id}"


def access_channel(settings: Settings) -> str:
    """Return the name of the channel of permission changes."""
    return f"{settings.channel_prefix}:access"


class Broadcaster:
    """Publishes for one process. Safe to share between threads and greenlets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signer = MessageSigner(settings, is_strict=settings.strict_delivery)
        # During an outage, a writer must not wait for every event.
        self._breaker = CircuitBreaker()

    def publish(self, events: Sequence[EventRecord]) -> None:
        """Publish committed events in their order, one message for each instance."""
        for instance_id in dict.fromkeys(event.instance_id for event in events):
            group = [event for event in events if event.instance_id == instance_id]
            message = {"kind": "events", "at": group[0].at, "events": [event.wire() for event in group]}
            self._send("events", instance_channel(self._settings, instance_id), message)

    def publish_live(self, state: LiveState) -> None:
        """Publish the latest progress inside a step."""
        message = {"kind": "live", "base_seq": state.base_seq, "live": state.wire()}
        self._send("live", instance_channel(self._settings, state.instance_id), message)

    def publish_text(self, text: TextPiece) -> None:
        """Publish a piece of a step's streamed text."""
        self._send("text", task_channel(self._settings, text.task_id), {"kind": "text", "text": text.wire()})

    def publish_access(self) -> None:
        """Notify every web process that permissions have changed; the database has the details."""
        self._send("access", access_channel(self._settings), {"kind": "access"})

    def close(self) -> None:
        """Close the connection to Redis."""
        if "_client" in self.__dict__:
            self._client.close()

    def _send(self, kind: str, channel: str, message: dict[str, Any]) -> None:
        if not self._breaker.allows():
            PUBLISH_FAILURES.labels(kind).inc()
            return
        try:
            payload = self._signer.wrap(channel, to_json(message))
        except (TypeError, ValueError) as fault:
            PUBLISH_FAILURES.labels(kind).inc()
            log.error("publish_refused", kind=kind, reason=str(fault))
            return
        self._attempt(kind, lambda client: client.publish(channel, payload))

    def _attempt(self, kind: str, send: Callable[[redis.Redis], object]) -> None:
        try:
            send(self._client)
        except (redis.RedisError, OSError) as fault:
            self._breaker.record_failure()
            PUBLISH_FAILURES.labels(kind).inc()
            log.warning("publish_failed", kind=kind, reason=str(fault))
        else:
            if self._breaker.has_failed:
                self._breaker.record_success()
            PUBLISHED.labels(kind).inc()

    @cached_property
    def _client(self) -> redis.Redis:
        # Not before the first message: an embedded server writes its address when it has started.
        return connect(self._settings)
