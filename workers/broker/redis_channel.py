"""What a worker takes from Redis by: Kombu's channel, to which nothing that lies there does any harm.

Beside the road, below `workers/broker/message_check`. Kombu keeps queues, tables of bindings and what it took and has not begun in
keys of one database, and takes for granted that nobody else writes there. A key of another type is thrown away, as an
item that is no message is. What was taken and not begun is kept in this process only: the key `unacked`, which all that
use Celery on a database share, is neither read nor written. If the worker is killed, the ledger finds what it had.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import structlog
from kombu.transport import redis, virtual
from prometheus_client import Counter
from redis.exceptions import ResponseError

from swallowtail.workers.worker_runtime import named

log = structlog.get_logger(__name__)

UNREADABLE = Counter(
    "swallowtail_wakeups_unreadable_total",
    "Messages of the queue, and keys of the broker's in Redis, thrown away because they are not what belongs there",
)

#: What a queue's item that is no message can raise while it is taken apart. Not what a connection raises.
_JUNK = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Message(virtual.Message):
    """A message in a Redis queue, whatever it is: one that is none has no headers and no body."""

    def __init__(self, payload: Any, channel: Any = None, **more: Any) -> None:
        try:
            properties = payload["properties"]
            place = properties["delivery_info"]
            names = [properties["delivery_tag"], place["exchange"], place["routing_key"]]
            if not all(isinstance(name, str) and name.isascii() and len(name) <= 255 for name in names):
                raise ValueError
            super().__init__(_plain(payload), channel, **more)
        except _JUNK:
            nowhere = {"exchange": "", "routing_key": ""}
            blank = {"properties": {"delivery_tag": str(uuid.uuid4()), "delivery_info": nowhere}}
            super().__init__(blank, channel, **more)


class QoS(virtual.QoS):
    """What a channel took and no child has begun."""

    def restore_unacked(self) -> None:
        """Put it back, as far as Redis is there; the ledger finds what was not."""
        failed: Any = super().restore_unacked()
        if failed:
            log.info("messages_not_put_back", number=len(failed))


class Channel(redis.Channel):
    """A Redis channel that goes on after what does not belong there."""

    Message = Message
    QoS = QoS  # type: ignore[assignment] # the types know only the one that keeps it in Redis

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """Return what is bound to an exchange, as far as it can be read; see Kombu."""
        with self.conn_or_acquire() as client:
            members = self._insist(lambda: client.smembers(self.keyprefix_queue % exchange), self._tables(exchange))
        rows = (bytes(member).decode(errors="replace").split(self.sep) for member in members)
        return [(row[0], row[1], row[2]) for row in rows if len(row) == 3]

    def maybe_refresh_binding_expiry(self) -> None:
        """Keep the tables of bindings; see Kombu."""
        refresh = super().maybe_refresh_binding_expiry  # type: ignore[misc]
        self._insist(refresh, self._tables(*(self.state.exchanges or ())))

    def _queue_bind(self, exchange: str, *how: Any) -> None:
        bind = super()._queue_bind  # type: ignore[misc] # the types leave private names out
        self._insist(lambda: bind(exchange, *how), self._tables(exchange))

    def _restore(self, message: virtual.Message, leftmost: bool = False) -> None:
        self._put(named().queue, message._raw)  # type: ignore[attr-defined]

    def _size(self, queue: str) -> int:
        count = super()._size
        return int(self._insist(lambda: count(queue), self._lists(queue)))

    def _brpop_read(self, **options: Any) -> Any:
        read = super()._brpop_read  # type: ignore[misc]
        # What it has not read, it asks for again.
        return self._insist(lambda: _tolerate(read, **options), self._lists(*self.active_queues), again=False)

    def _receive(self) -> Any:
        return _tolerate(super()._receive)  # type: ignore[misc]

    def _lists(self, *queues: str) -> dict[str, str]:
        place = self._q_for_pri  # type: ignore[attr-defined]
        return {place(queue, step): "list" for queue in queues for step in self.priority_steps}

    def _tables(self, *exchanges: str) -> dict[str, str]:
        prefixes = (self.keyprefix_queue, self.keyprefix_binding_permanent)  # type: ignore[attr-defined]
        sets = {prefix % exchange: "set" for exchange in exchanges for prefix in prefixes}
        return {**sets, self.keyprefix_binding_deadlines: "zset"}  # type: ignore[attr-defined]

    def _insist(self, use: Callable[[], Any], types: dict[str, str], *, again: bool = True) -> Any:
        """Use keys; if Redis refuses because of those that are of another type than theirs, they are deleted first."""
        try:
            return use()
        except ResponseError:
            with self.conn_or_acquire() as client:
                odd = [key for key, own in types.items() if client.type(key).decode() not in (own, "none")]
                if not odd:
                    raise
                client.delete(*odd)
        UNREADABLE.inc(len(odd))
        log.warning("keys_unusable", keys=odd)
        return use() if again else None


class Transport(redis.Transport):
    """Kombu's Redis transport with such channels."""

    Channel = Channel


def _plain(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload without the word that has Kombu decompress it: it may be of any size then."""
    headers = payload.get("headers") or {}
    return {**payload, "headers": {name: value for name, value in headers.items() if name != "compression"}}


def _tolerate(read: Callable[..., Any], **options: Any) -> Any:
    try:
        return read(**options)
    except _JUNK as fault:
        UNREADABLE.inc()
        log.warning("message_unreadable", reason=f"the item is no message: {type(fault).__name__}")
        return None
