"""What a worker takes from RabbitMQ by: Kombu's channel, to which no message does any harm. Below `workers/broker/message_check`.

py-amqp reads a message's properties, and where it was sent to, while it reads its connection: text that is no UTF-8, a
moment in the year 300,000 or tables in tables raise there, Celery takes that for the end of the worker, and the message
is in the queue again for the next. So such a message is read without them, and thrown away as every other one is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from amqp import AMQPError
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic, loads
from kombu.transport import pyamqp

#: What a frame may be: a method, or the head of a message's content.
_METHOD, _HEADER = 1, 2
#: The method that brings a message: its consumer's tag, its own, whether it comes again, its exchange and routing key.
_DELIVER, _PARTS = struct.pack(">HH", 60, 60), "sLbss"
#: Bytes of a content's head in front of its properties.
_FIXED = 12
#: What py-amqp raises for what it cannot read.
_JUNK = (ValueError, OverflowError, OSError, LookupError, TypeError, ArithmeticError, RecursionError, struct.error)


class Message(pyamqp.Message):
    """A message of RabbitMQ, as it came: what is compressed may be of any size once it no longer is."""

    def __init__(self, msg: Any, channel: Any = None, **more: Any) -> None:
        msg.properties.get("application_headers", {}).pop("compression", None)
        super().__init__(msg, channel, **more)


class Channel(pyamqp.Channel):
    """A channel with such messages."""

    Message = Message


class Connection(pyamqp.Connection):
    """A connection with such channels."""

    Channel = Channel

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, frame_handler=read_frames)


class Transport(pyamqp.Transport):
    """Kombu's RabbitMQ transport with such connections."""

    Connection = Connection


class SafeTransport(pyamqp.SSLTransport):
    """The same over TLS."""

    Connection = Connection


def read_frames(connection: Any, callback: Callable[..., Any]) -> Callable[[tuple[int, int, bytes]], Any]:
    """Return py-amqp's reader of frames, which is shown nothing that it cannot read."""
    read = frame_handler(connection, callback)

    def take(frame: tuple[int, int, bytes]) -> Any:
        kind, channel, content = frame
        if kind == _METHOD and content.startswith(_DELIVER):
            content = _mend_delivery(content)
        elif kind == _HEADER:
            content = _mend_head(content)
        return read((kind, channel, content))

    return take


def _mend_delivery(content: bytes) -> bytes:
    """Return a delivery; one whose exchange or routing key is no text without these."""
    try:
        loads(_PARTS, content, len(_DELIVER))
    except ValueError:
        # Its consumer's tag with its length, eight bytes of its own and one for whether it comes again.
        kept = len(_DELIVER) + 1 + content[len(_DELIVER)] + 8 + 1
        return content[:kept] + b"\0\0"
    return content


def _mend_head(content: bytes) -> bytes:
    """Return the head of a content; one whose properties cannot be read without any."""
    try:
        decode_properties_basic(content, _FIXED)
    except (*_JUNK, AMQPError):
        return content[:_FIXED] + b"\0\0"
    return content
