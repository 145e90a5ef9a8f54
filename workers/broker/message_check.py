"""Checks every message of the broker before Celery handles it, and discards all but valid wake-ups.

Runs in the worker's main process. Any program that can write to the queue can put anything there, and Celery trusts it:
bytes that are not JSON end the worker, and headers make it run other tasks, wait, or cancel. So a message either has
the shape that `core/ledger/outbox` sends, with a valid signature if signatures are required, or it is discarded and
counted. Celery only gets the parts that were checked.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import structlog
from celery.worker.consumer import Consumer
from kombu import Connection
from kombu.log import get_logger
from kombu.transport import pyamqp, redis
from prometheus_client import Counter

from swallowtail.app.core.ledger.outbox import RUN_TASK, choose_limits
from swallowtail.app.core.security.message_signing import wakeup
from swallowtail.workers.broker import amqp_channel, redis_channel
from swallowtail.workers.broker.redis_channel import UNREADABLE
from swallowtail.workers.runtime.worker_runtime import agents, settings, signer

log = structlog.get_logger(__name__)

FORGED = Counter(
    "swallowtail_wakeups_forged_total", "Wake-up messages discarded because their signature is missing or wrong"
)

#: Longest body of a wake-up in bytes: two ids, a signature and what Celery adds, with some reserve.
MAX_BODY = 4096

Limits = Sequence[float | None]


class UnreadableMessage(Exception):
    """A message is not a wake-up of ours; the text says why."""


_TRANSPORTS = {
    redis.Transport: redis_channel.RedisTransport,
    pyamqp.Transport: amqp_channel.AmqpTransport,
    pyamqp.SSLTransport: amqp_channel.AmqpTlsTransport,
}


class CheckedConnection(Connection):
    """A connection that survives any message and reconnects every two seconds; Kombu's delays grow to half a minute."""

    def get_transport_cls(self) -> Any:
        """Return the class of the transport; see Kombu."""
        usual = super().get_transport_cls()
        return _TRANSPORTS.get(usual, usual)

    def ensure_connection(self, errback: Callable[..., object] | None = None, *args: Any, **options: Any) -> Any:
        """Connect, trying until it works, and report the first failure only; see Kombu."""
        pauses = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
        failures = itertools.count()

        def report(*failure: Any) -> None:
            if errback is not None and next(failures) == 0:
                errback(*failure)

        return super().ensure_connection(report, *args, **{**pauses, **options})


class CheckedConsumer(Consumer):
    """Celery's consumer, which receives valid wake-ups only."""

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return the function that receives each message of the queue; see Celery."""
        handle = super().create_task_handler(*args, **options)

        def receive(message: Any) -> None:
            try:
                arguments = clean(message)
            except UnreadableMessage as problem:
                UNREADABLE.inc()
                log.warning("message_unreadable", reason=str(problem))
            else:
                if is_trusted(arguments, message.headers["id"], message.headers["timelimit"]):
                    message.headers["timelimit"] = choose_time_limits(message.headers["timelimit"])
                    handle(message)
                    return
                FORGED.inc()
                log.warning("wakeup_forged", task_id=arguments[0])
            message.ack_log_error(get_logger(__name__), self.connection_errors)  # type: ignore[attr-defined]

        return receive


def clean(message: Any) -> list[Any]:
    """Reduce a message to its checked parts; return its arguments: the task, the attempt, and the signature if any.

    What remains is covered by the signature, or is the same for every message. Raises UnreadableMessage.
    """
    arguments = _read_arguments(message.body)
    headers = message.headers
    if message.content_type != "application/json":
        raise UnreadableMessage("its content type is not JSON")
    if not isinstance(headers, dict) or headers.get("task") != RUN_TASK:
        raise UnreadableMessage("it names no task of ours")
    message_id = headers.get("id")
    if not isinstance(message_id, str) or not 0 < len(message_id) <= 100 or not message_id.isascii():
        raise UnreadableMessage("it has no id")
    message.headers = {
        "lang": "py",
        "task": RUN_TASK,
        "id": message_id,
        "root_id": message_id,
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
        raise UnreadableMessage("it has no body, or too long a one")
    try:
        read = orjson.loads(text)
    except ValueError:
        raise UnreadableMessage("its body is not JSON") from None
    match read:
        case [[str() as task_id, int() as attempt, *signature], kwargs, dict() as more] if not kwargs:
            # `more` holds callbacks, chains and the like, which we never send.
            is_short = (
                len(task_id) <= 100 and 0 < attempt < 2**31 and not isinstance(attempt, bool) and len(signature) < 2
            )
            if is_short and not any(more.values()):
                return [task_id, attempt, *signature]
    raise UnreadableMessage("its body is not a wake-up")


def _read_limits(limits: Any) -> list[float | None]:
    match limits:
        case [hard, soft] if all(limit is None or _is_span(limit) for limit in (hard, soft)):
            return [hard, soft]
        case None:
            return [None, None]
    raise UnreadableMessage("its time limits are not numbers of seconds")


def _is_span(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 < value < 2**31


def is_trusted(args: Sequence[Any], message_id: str, limits: Limits) -> bool:
    """Return whether a wake-up carries a valid signature; without signatures, every wake-up is trusted."""
    if not signer().is_strict:
        return True
    match args:
        case [str() as task_id, int() as attempt, str() as mark]:
            return signer().verify(RUN_TASK, wakeup(task_id, attempt, message_id, limits), mark)
    return False


def choose_time_limits(limits: Limits) -> list[float | None]:
    """Return the hard and the soft time limit of a run: those of the message if it is signed, else the nearest known.

    Otherwise any program that writes to the queue could end a run at once or let it run for ever.
    """
    hard, _ = limits
    if signer().is_strict:
        return list(limits)
    pairs = known_time_limits()
    nearest: tuple[int, int] = pairs[0] if hard is None else min(pairs, key=lambda pair: abs(pair[0] - hard))
    return [*nearest]


@functools.cache
def known_time_limits() -> list[tuple[int, int]]:
    """Return the hard and soft time limits of this worker's runs in seconds: the settings', then each agent's."""
    own = [(spec.soft_time_limit, spec.hard_time_limit) for spec in agents().values()]
    return [choose_limits(settings(), *pair) for pair in [(None, None), *own]]
