"""What comes from the broker, looked at before Celery does: a wake-up of ours, or nothing that anybody need hear of.

On the road between the broker and `workers/run_task`, in the worker's main process. Whoever can write to the queue may
put anything there, and Celery takes much for granted: bytes that are no JSON end its worker, and headers make it run
other tasks, wait, or cancel. So a message is either of the one shape that `core/ledger/outbox` sends, and marked where marks
are asked for, or it is thrown away and counted. Celery is given nothing of it but what was checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from celery.worker.consumer import Consumer
from kombu import Connection
from kombu.log import get_logger
from kombu.transport import pyamqp, redis
from prometheus_client import Counter

from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.workers.broker import amqp_channel, redis_channel
from swallowtail.workers.broker.redis_channel import UNREADABLE
from swallowtail.workers.worker_runtime import is_vouched, settle_limits

log = structlog.get_logger(__name__)

FORGED = Counter("swallowtail_wakeups_forged_total", "Wake-up messages thrown away because none of us signed them")

#: Longest body of a wake-up: two ids, a mark and what Celery adds, and then some.
MAX_BODY = 4096


class Unreadable(Exception):
    """A message is no wake-up of ours; the text says why."""


_OURS = {
    redis.Transport: redis_channel.Transport,
    pyamqp.Transport: amqp_channel.Transport,
    pyamqp.SSLTransport: amqp_channel.SafeTransport,
}


class IntakeConnection(Connection):
    """A connection whose queues may hold anything, and that is tried again every two seconds.

    Kombu's own pauses grow to half a minute.
    """

    def get_transport_cls(self) -> Any:
        """Return the class of the transport; see Kombu."""
        usual = super().get_transport_cls()
        return _OURS.get(usual, usual)

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """Connect, trying until it works; see Kombu."""
        pauses = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
        return super().ensure_connection(*args, **{**pauses, **options})


class IntakeConsumer(Consumer):
    """Celery's consumer, which is shown wake-ups of ours only."""

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return what takes each message of the queue."""
        handle = super().create_task_handler(*args, **options)

        def take(message: Any) -> None:
            try:
                arguments = clean(message)
            except Unreadable as why:
                UNREADABLE.inc()
                log.warning("message_unreadable", reason=str(why))
            else:
                if is_vouched(arguments, message.headers["id"], message.headers["timelimit"]):
                    message.headers["timelimit"] = settle_limits(message.headers["timelimit"])
                    handle(message)
                    return
                FORGED.inc()
                log.warning("wakeup_forged", task_id=arguments[0])
            message.ack_log_error(get_logger(__name__), self.connection_errors)  # type: ignore[attr-defined]

        return take


def clean(message: Any) -> list[Any]:
    """Leave of a message what was checked, and return its arguments: the task, the attempt, and its mark if it has one.

    All that Celery is given is what a mark is made of, or the same for every message.

    Raises:
        Unreadable: it is not of the shape in which a relay of ours sends wake-ups.
    """
    arguments = _read_arguments(message.body)
    headers = message.headers
    if message.content_type != "application/json":
        raise Unreadable("it is not said to be JSON")
    if not isinstance(headers, dict) or headers.get("task") != RUN_TASK:
        raise Unreadable("it names no task of ours")
    name = headers.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isascii():
        raise Unreadable("it has no id")
    message.headers = {
        "lang": "py",
        "task": RUN_TASK,
        "id": name,
        "root_id": name,
        "retries": 0,
        "timelimit": _read_limits(headers.get("timelimit")),
        "argsrepr": repr(tuple(arguments[:2])),
        "kwargsrepr": "{}",
        "ignore_result": True,
    }
    message.properties = {key: value for key, value in message.properties.items() if key == "delivery_tag"}
    message.body = orjson.dumps([arguments[:2], {}, {}])
    message.content_type, message.content_encoding = "application/json", "utf-8"
    message._decoded_cache = None
    return arguments


def _read_arguments(body: Any) -> list[Any]:
    text = body.tobytes() if isinstance(body, memoryview) else body
    if not isinstance(text, bytes | str) or len(text) > MAX_BODY:
        raise Unreadable("it has no body, or too long a one")
    try:
        read = orjson.loads(text)
    except ValueError:
        raise Unreadable("its body is not JSON") from None
    match read:
        case [[str() as task_id, int() as attempt, *mark], kwargs, dict() as more] if not kwargs:
            # What is to run after the task, say, and for whom: nothing of ours asks for any of it.
            is_short = len(task_id) <= 100 and 0 < attempt < 2**31 and not isinstance(attempt, bool) and len(mark) < 2
            if is_short and not any(more.values()):
                return [task_id, attempt, *mark]
    raise Unreadable("its body is no wake-up")


def _read_limits(limits: Any) -> list[float | None]:
    match limits:
        case [hard, soft] if all(limit is None or _is_span(limit) for limit in (hard, soft)):
            return [hard, soft]
        case None:
            return [None, None]
    raise Unreadable("its time limits are none")


def _is_span(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 < value < 2**31
