"""Reads and writes Engine.IO and Socket.IO packets, and turns invalid ones into events that the handlers answer.

The library's packet class raises on an invalid packet, so that its sender gets no answer, and a binary event whose
attachments never fit makes a connection unusable. Here an invalid packet becomes an event named `INVALID_EVENT`. The id
of an acknowledgement is the last argument of an event, so that its handler decides what is sent before and after it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from engineio import packet as engine
from socketio import packet as stock

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, SwallowtailError, TooLarge
from swallowtail.app.web.websocket.frames import head, pack, payload_of

#: Name of the event that replaces an invalid packet. Its argument is the error.
INVALID_EVENT = "swallowtail.refused"
#: Names that the library uses internally; no client may send them as events.
RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"})
#: Binary attachments that one event may have, as with the reference server. No event of the protocol has any.
MAX_ATTACHMENTS = 10
#: From so many brackets on, JSON that cannot be parsed is reported as nested too deeply rather than as invalid.
_DEEP = 1000
#: Engine.IO packet types that a client may send; others, such as a NOOP, are ignored.
CLIENT_TYPES = (engine.CLOSE, engine.PONG, engine.MESSAGE)
#: First characters of an Engine.IO packet: its type, or `b` for binary data.
_FIRST_CHARACTERS = frozenset("0123456b")
#: Exceptions that parsing hostile input can raise.
_PARSE_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


class InvalidPacket(InvalidInput):
    """The data is no packet of the protocol. Its sender gets this error and is disconnected."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The id of the acknowledgement that a client expects."""

    id: int


class _MessageFrame(engine.Packet):  # type: ignore[misc] # the library has no types
    """A text message that is a complete websocket frame already; `data` is decoded on demand, for clients that poll."""

    packet_type = engine.MESSAGE
    binary = False

    @property
    def data(self) -> str:
        return self.encode()[1:]

    def encode(self, b64: bool = False) -> str:
        """Return the message as the library's transports send it."""
        raise NotImplementedError


class TextFrame(_MessageFrame):
    """A message in one piece, `wire`, that any number of clients share."""

    def __init__(self, text: bytes) -> None:
        # Without the library's, which would set `data`.
        self.wire = pack(b"4" + text)

    def __len__(self) -> int:
        return len(self.wire)

    def encode(self, b64: bool = False) -> str:
        """See `_MessageFrame`."""
        return payload_of(self.wire).decode()


class SharedFrame(_MessageFrame):
    """A message with a large part that other clients get too: `parts` form the frame, without copying."""

    def __init__(self, before: bytes, shared: bytes, after: bytes) -> None:
        # Without the library's, which would set `data`.
        size = 1 + len(before) + len(shared) + len(after)
        self.parts = (head(size) + b"4" + before, shared, after)

    def encode(self, b64: bool = False) -> str:
        """See `_MessageFrame`."""
        return payload_of(b"".join(self.parts)).decode()


class PacketJson:
    """Encodes and decodes the JSON of packets with orjson: NaN becomes null, and nesting is limited."""

    @staticmethod
    def encode(value: Any) -> bytes:
        """Encode without spaces."""
        try:
            return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:
            # Another program emits integers above 64 bits or lone surrogates, which orjson refuses.
            return json.dumps(value, separators=(",", ":")).encode()

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        """Encode as text, as the library calls it."""
        return PacketJson.encode(value).decode()

    @staticmethod
    def loads(text: str | bytes) -> Any:
        """Decode. Raises ValueError, also for nesting deeper than 1024."""
        return orjson.loads(text)


class CheckedPacket(stock.Packet):  # type: ignore[misc] # the library has no types
    """A Socket.IO packet; one that is invalid becomes an event named `INVALID_EVENT`."""

    #: Most bytes of text.
    max_bytes = 0

    packet_type: int
    data: Any
    id: int | None
    attachment_count: int

    def __init__(self, *args: Any, encoded_packet: Any = None, **options: Any) -> None:
        super().__init__(*args, encoded_packet=encoded_packet, **options)
        if encoded_packet is not None and not encoded_packet:
            # The library's class does not parse an empty packet.
            self._refuse(InvalidPacket("the packet is empty"))
        if encoded_packet is None and self.packet_type == stock.CONNECT_ERROR and isinstance(self.data, str):
            # For an unknown namespace the library sends a string; the protocol's document and clients expect an object.
            self.data = {"message": "Invalid namespace"}

    def decode(self, encoded_packet: Any) -> int:
        """Parse a packet; return the number of attachments that follow."""
        try:
            return self._parse(encoded_packet)
        except SwallowtailError as refusal:
            return self._refuse(refusal)
        except _PARSE_ERRORS:
            if encoded_packet.count("[") + encoded_packet.count("{") > _DEEP:
                return self._refuse(InvalidInput("the JSON is nested too deeply"))
            return self._refuse(InvalidPacket("this is not a Socket.IO packet with JSON"))

    def add_attachment(self, attachment: Any) -> bool:
        """Add an attachment; return whether the packet is complete."""
        try:
            if not isinstance(attachment, bytes | bytearray):
                raise InvalidPacket("a binary attachment was announced, and something else came")
            if not super().add_attachment(attachment):
                return False
            self._move_ack_id()
        except SwallowtailError as refusal:
            self._refuse(refusal)
        except _PARSE_ERRORS:
            self._refuse(InvalidPacket("the binary attachments do not fit the event"))
        return True

    def _parse(self, text: Any) -> int:
        if not isinstance(text, str):
            raise InvalidPacket("binary data without an event")
        if len(text) > self.max_bytes or len(text.encode("utf-8", "surrogatepass")) > self.max_bytes:
            # The part before the JSON has the id for the answer.
            super().decode(text[: text.find("[")] if "[" in text[:200] else text[:1])
            raise TooLarge(f"a message may have at most {self.max_bytes} bytes")
        count = int(super().decode(text) or 0)
        binary = self.packet_type in (stock.BINARY_EVENT, stock.BINARY_ACK)
        if binary and count < 1:
            raise InvalidPacket("a binary event names the number of its attachments")
        if binary and count > MAX_ATTACHMENTS:
            raise InvalidInput(f"a binary event has at most {MAX_ATTACHMENTS} attachments")
        if self.packet_type not in (stock.CONNECT, stock.DISCONNECT, stock.ACK, stock.EVENT) and not binary:
            raise InvalidPacket("this type of packet is not for servers")
        if self.packet_type in (stock.EVENT, stock.BINARY_EVENT):
            self.data = _check_event(self.data)
        if self.packet_type in (stock.CONNECT, stock.DISCONNECT):
            _check_connection_payload(self.packet_type, self.data)
        if self.packet_type == stock.EVENT:
            self._move_ack_id()
        return count

    def _move_ack_id(self) -> None:
        if self.id is not None and self.packet_type in (stock.EVENT, stock.BINARY_EVENT):
            self.data = [*self.data, Ack(self.id)]
            self.id = None

    def _refuse(self, refusal: SwallowtailError) -> int:
        if self.packet_type == stock.CONNECT:
            # An oversized payload counts as none; an invalid packet ends the connection (`engineio/packet_order`).
            self.data = refusal if isinstance(refusal, InvalidPacket) else None
            return 0
        if self.packet_type not in (stock.ACK, stock.BINARY_ACK):
            self.packet_type = stock.BINARY_EVENT if self.attachment_count else stock.EVENT
        elif not self.attachment_count:
            # A binary type would wait for attachments and treat the next packet as one.
            self.packet_type = stock.ACK
        self.data = [INVALID_EVENT, refusal]
        self._move_ack_id()
        return 0


def frame_event(event: str, payload: Mapping[str, Any]) -> TextFrame:
    """Return the message of an event."""
    return TextFrame(b"%d%s" % (stock.EVENT, PacketJson.encode([event, payload])))


def frame_ack(ack: Ack, answer: Mapping[str, Any], snapshot: bytes | None) -> TextFrame | SharedFrame:
    """Return the message of an acknowledgement, with a snapshot as the last member of the answer if there is one."""
    encoded = PacketJson.encode(answer)
    if snapshot is None:
        return TextFrame(b"%d%d[%s]" % (stock.ACK, ack.id, encoded))
    return SharedFrame(b'%d%d[%s,"snapshot":' % (stock.ACK, ack.id, encoded[:-1]), snapshot, b"}]")


def make_packet_class(settings: Settings) -> type[CheckedPacket]:
    """Return the packet class with the limits of the settings."""
    return type("LimitedPacket", (CheckedPacket,), {"max_bytes": settings.max_body_bytes})


def _check_event(data: Any) -> list[Any]:
    """Return name and arguments of an event; a name may be a number, which is its text."""
    name = data[0] if isinstance(data, list) and data else None
    if not isinstance(name, str | int | float) or isinstance(name, bool):
        raise InvalidPacket("an event is a list that begins with its name")
    if name in RESERVED:
        raise InvalidPacket(f"{name} is not an event for clients to send", field="event")
    return [str(name), *data[1:]]


def _check_connection_payload(kind: int, data: Any) -> None:
    if data is not None and (kind == stock.DISCONNECT or not isinstance(data, dict)):
        raise InvalidPacket("a CONNECT has an object for its payload, and a DISCONNECT has none")


def open_payload(eio: Any, sid: str, upgrades: list[str]) -> dict[str, Any]:
    """Return the payload of the packet that opens a session of an Engine.IO server."""
    return {
        "sid": sid,
        "upgrades": upgrades,
        "pingTimeout": int(eio.ping_timeout * 1000),
        "pingInterval": int(eio.ping_interval + eio.ping_interval_grace_period) * 1000,
        "maxPayload": eio.max_http_buffer_size,
    }


def read_packet(text: str) -> Any:
    """Return one Engine.IO packet of a client's text. Raises ValueError."""
    if text[:1] not in _FIRST_CHARACTERS or not text:
        raise ValueError("this is no Engine.IO packet")
    return engine.Packet(encoded_packet=text)
