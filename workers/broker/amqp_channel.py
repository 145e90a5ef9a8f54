"""Kombu's RabbitMQ channel, hardened: a message with unreadable properties does not end the worker.

py-amqp decodes a message's properties, exchange and routing key while it reads its connection. Invalid UTF-8, a date in
the year 300,000 or deeply nested tables raise there; Celery then ends the worker, and the message goes to the next one.
Such a message is read without these parts here, and `workers/broker/message_check` discards it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from amqp import AMQPError
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic, loads
from kombu.transport import pyamqp

#: Kinds of frames: a method, or the header of a message.
_METHOD, _HEADER = 1, 2
#: The delivery method; its parts: consumer tag, delivery tag, redelivered, exchange, routing key.
_DELIVER, _PARTS = struct.pack(">HH", 60, 60), "sLbss"
#: Bytes of a header before its properties.
_FIXED = 12
#: Exceptions that py-amqp raises for bytes that it cannot decode.
_JUNK = (ValueError, OverflowError, OSError, LookupError, TypeError, ArithmeticError, RecursionError, struct.error)


class AmqpMessage(pyamqp.Message):
    """A message of RabbitMQ that is never decompressed: the result could have any size."""

    def __init__(self, msg: Any, channel: Any = None, **more: Any) -> None:
        msg.properties.get("application_headers", {}).pop("compression", None)
        super().__init__(msg, channel, **more)


class AmqpChannel(pyamqp.Channel):
    """A channel with these messages."""

    Message = AmqpMessage


class AmqpConnection(pyamqp.Connection):
    """A connection with these channels."""

    Channel = AmqpChannel

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, frame_handler=read_frames)


class AmqpTransport(pyamqp.Transport):
    """Kombu's RabbitMQ transport with these connections."""

    Connection = AmqpConnection


class AmqpTlsTransport(pyamqp.SSLTransport):
    """The same over TLS."""

    Connection = AmqpConnection


def read_frames(connection: Any, callback: Callable[..., Any]) -> Callable[[tuple[int, int, bytes]], Any]:
    """Return py-amqp's frame handler, wrapped so that it only gets frames that it can decode."""
    read = frame_handler(connection, callback)

    def receive(frame: tuple[int, int, bytes]) -> Any:
        kind, channel, content = frame
        if kind == _METHOD and content.startswith(_DELIVER):
            content = _clean_delivery(content)
        elif kind == _HEADER:
            content = _clean_header(content)
        return read((kind, channel, content))

    return receive


def _clean_delivery(content: bytes) -> bytes:
    """Return a delivery; without exchange and routing key if they are not valid text."""
    try:
        loads(_PARTS, content, len(_DELIVER))
    except ValueError:
        # The length and text of the consumer tag, eight bytes of delivery tag, one byte for redelivered.
        prefix = len(_DELIVER) + 1 + content[len(_DELIVER)] + 8 + 1
        return content[:prefix] + b"\0\0"
    return content


def _clean_header(content: bytes) -> bytes:
    """Return a header; without properties if they cannot be decoded."""
    try:
        decode_properties_basic(content, _FIXED)
    except (*_JUNK, AMQPError):
        return content[:_FIXED] + b"\0\0"
    return content
