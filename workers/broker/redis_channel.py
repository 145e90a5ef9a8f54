"""Kombu's Redis channel, hardened: foreign keys and items that are not messages are discarded.

Kombu stores queues, bindings and unacknowledged messages in keys of one database, and assumes that no other program
writes them. A key of the wrong type is deleted here, and an item that is not a message is dropped. Unacknowledged
messages stay in this process: the key `unacked`, which all users of Celery on a database share, is neither read nor
written. If the worker is killed, the ledger recovers the tasks.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import structlog
from kombu.transport import redis, virtual
from prometheus_client import Counter
from redis.exceptions import ResponseError

from swallowtail.workers.runtime.worker_runtime import deployment_settings

log = structlog.get_logger(__name__)

UNREADABLE = Counter(
    "swallowtail_wakeups_unreadable_total",
    "Messages of the queue, and keys of the broker in Redis, discarded because they are not valid",
)

#: Exceptions that reading an item that is not a message can raise. Connections raise others.
_READ_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class RedisMessage(virtual.Message):
    """A message in a Redis queue; an item that is not a message gets no headers and no body."""

    def __init__(self, payload: Any, channel: Any = None, **more: Any) -> None:
        try:
            properties = payload["properties"]
            place = properties["delivery_info"]
            names = [properties["delivery_tag"], place["exchange"], place["routing_key"]]
            if not all(isinstance(name, str) and name.isascii() and len(name) <= 255 for name in names):
                raise ValueError
            super().__init__(_plain(payload), channel, **more)
        except _READ_ERRORS:
            nowhere = {"exchange": "", "routing_key": ""}
            blank = {"properties": {"delivery_tag": str(uuid.uuid4()), "delivery_info": nowhere}}
            super().__init__(blank, channel, **more)


class QoS(virtual.QoS):
    """The messages that a channel received and no child has begun."""

    def restore_unacked(self) -> None:
        """Return them to the queue if Redis is reachable; otherwise the ledger recovers the tasks."""
        failed: Any = super().restore_unacked()
        if failed:
            log.info("messages_not_returned", number=len(failed))


class RedisChannel(redis.Channel):
    """A Redis channel that survives keys and items of other programs."""

    Message = RedisMessage
    QoS = QoS  # type: ignore[assignment] # typed as the one that stores them in Redis

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """Return the readable bindings of an exchange; see Kombu."""
        with self.conn_or_acquire() as client:
            members = self._use_keys(
                lambda: client.smembers(self.keyprefix_queue % exchange), self._binding_keys(exchange)
            )
        rows = (bytes(member).decode(errors="replace").split(self.sep) for member in members)
        return [(row[0], row[1], row[2]) for row in rows if len(row) == 3]

    def maybe_refresh_binding_expiry(self) -> None:
        """Refresh the bindings; see Kombu."""
        refresh = super().maybe_refresh_binding_expiry  # type: ignore[misc]
        self._use_keys(refresh, self._binding_keys(*(self.state.exchanges or ())))

    def _queue_bind(self, exchange: str, *how: Any) -> None:
        bind = super()._queue_bind  # type: ignore[misc] # the types leave private names out
        self._use_keys(lambda: bind(exchange, *how), self._binding_keys(exchange))

    def _restore(self, message: virtual.Message, leftmost: bool = False) -> None:
        self._put(deployment_settings().queue, message._raw)  # type: ignore[attr-defined]

    def _size(self, queue: str) -> int:
        count = super()._size
        return int(self._use_keys(lambda: count(queue), self._queue_keys(queue)))

    def _brpop_read(self, **options: Any) -> Any:
        read = super()._brpop_read  # type: ignore[misc]
        # Kombu repeats a read that returned nothing.
        return self._use_keys(
            lambda: _skip_unreadable(read, **options), self._queue_keys(*self.active_queues), again=False
        )

    def _receive(self) -> Any:
        return _skip_unreadable(super()._receive)  # type: ignore[misc]

    def _queue_keys(self, *queues: str) -> dict[str, str]:
        place = self._q_for_pri  # type: ignore[attr-defined]
        return {place(queue, step): "list" for queue in queues for step in self.priority_steps}

    def _binding_keys(self, *exchanges: str) -> dict[str, str]:
        # Kombu before 5.7 stores bindings in one set for each exchange, and no deadlines.
        permanent = getattr(self, "keyprefix_binding_permanent", self.keyprefix_queue)
        deadlines = getattr(self, "keyprefix_binding_deadlines", None)
        sets = {prefix % exchange: "set" for exchange in exchanges for prefix in (self.keyprefix_queue, permanent)}
        return {**sets, deadlines: "zset"} if deadlines else sets

    def _use_keys(self, use: Callable[[], Any], types: dict[str, str], *, again: bool = True) -> Any:
        """Use keys; if Redis refuses because some have the wrong type, delete those first."""
        try:
            return use()
        except ResponseError:
            with self.conn_or_acquire() as client:
                wrong = [key for key, own in types.items() if client.type(key).decode() not in (own, "none")]
                if not wrong:
                    raise
                client.delete(*wrong)
        UNREADABLE.inc(len(wrong))
        log.warning("keys_unusable", keys=wrong)
        return use() if again else None


class RedisTransport(redis.Transport):
    """Kombu's Redis transport with these channels."""

    Channel = RedisChannel


def _plain(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload without the header that makes Kombu decompress it, to any size."""
    headers = payload.get("headers") or {}
    return {**payload, "headers": {name: value for name, value in headers.items() if name != "compression"}}


def _skip_unreadable(read: Callable[..., Any], **options: Any) -> Any:
    try:
        return read(**options)
    except _READ_ERRORS as error:
        UNREADABLE.inc()
        log.warning("message_unreadable", reason=f"the item is not a message: {type(error).__name__}")
        return None
