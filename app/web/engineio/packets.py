"""Socket.IO packets as this server reads and writes them. The road's outermost layer, under `web/socketio/handlers`.

The stock packet class raises on what it cannot read, which leaves the sender without an answer, and it can be made deaf
by a binary event whose attachments never fit. Here whatever cannot be read becomes an event named `REFUSED`, which the
handlers answer like any other bad input. The id of an acknowledgement is handed to the handler as the last argument, so
that the handler decides what is sent before it and what after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson
from engineio import packet as engine
from socketio import packet as stock

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, SwallowtailError, TooLarge
from swallowtail.app.web.websocket.frames import head, pack, payload_of

#: Name of the event that stands for a packet which could not be read. Its argument is the error.
REFUSED = "swallowtail.refused"
#: Names with a meaning of their own inside the library; no client may send them as events.
RESERVED = ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
#: Binary attachments that one event may announce, as with the reference server. No event of the protocol has any.
MOST_ATTACHMENTS = 10
#: Brackets from which on JSON that could not be read may only have been nested too deeply, which is no mistake in it.
_DEEP = 1000
#: What reading hostile input can raise.
_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


class Unreadable(InvalidInput):
    """What came is no packet of the protocol. Its sender is told so, and loses the connection."""


@dataclass(frozen=True, slots=True)
class Ack:
    """Where the acknowledgement of an event goes."""

    id: int


class TextFrame(engine.Packet):  # type: ignore[misc] # the library has no types
    """An Engine.IO message of text as a whole websocket frame, `wire`; any number of clients share one."""

    def __init__(self, text: bytes) -> None:
        # Not the stock one: `data` is made when somebody asks for it, which is for clients that poll.
        self.packet_type = engine.MESSAGE
        self.binary = False
        self.wire = pack(b"4" + text)

    def __len__(self) -> int:
        return len(self.wire)

    @property
    def data(self) -> str:
        """The text."""
        return payload_of(self.wire)[1:].decode()

    def encode(self, b64: bool = False) -> str:
        """Return the message as the stock transports send it."""
        return payload_of(self.wire).decode()


class SharedFrame(engine.Packet):  # type: ignore[misc] # the library has no types
    """A message of text that holds a large part which others are sent too: `parts` are the frame, nothing is copied."""

    def __init__(self, before: bytes, shared: bytes, after: bytes) -> None:
        # Not the stock one: see above.
        self.packet_type = engine.MESSAGE
        self.binary = False
        size = 1 + len(before) + len(shared) + len(after)
        self.parts = (head(size) + b"4" + before, shared, after)

    @property
    def data(self) -> str:
        """The text."""
        return self.encode()[1:]

    def encode(self, b64: bool = False) -> str:
        """Return the message as the stock transports send it, joined only now."""
        return payload_of(b"".join(self.parts)).decode()


class FastJson:
    """The JSON of packets: fast and strict (NaN is null, nesting is bounded); the standard library for what is rare."""

    @staticmethod
    def encode(value: Any) -> bytes:
        """Encode without spaces."""
        try:
            return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:
            # Integers above 64 bits and lone surrogates, in what another program emits.
            return json.dumps(value, separators=(",", ":")).encode()

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        """Encode as text, as the library wants it."""
        return FastJson.encode(value).decode()

    @staticmethod
    def loads(text: str | bytes) -> Any:
        """Decode. Raises ValueError, also for nesting deeper than 1024."""
        return orjson.loads(text)


class Packet(stock.Packet):  # type: ignore[misc] # the library has no types
    """A packet that can be read in any case."""

    #: Longest text that is read, in bytes.
    longest = 0

    packet_type: int
    data: Any
    id: int | None
    attachment_count: int

    def __init__(self, *args: Any, encoded_packet: Any = None, **options: Any) -> None:
        super().__init__(*args, encoded_packet=encoded_packet, **options)
        if encoded_packet is not None and not encoded_packet:
            # The stock class takes an empty packet for none at all.
            self._refuse(Unreadable("an empty packet says nothing"))
        if encoded_packet is None and self.packet_type == stock.CONNECT_ERROR and isinstance(self.data, str):
            # Of an unknown namespace the library says a mere string; the document and its clients know objects only.
            self.data = {"message": "Invalid namespace"}

    def decode(self, encoded_packet: Any) -> int:
        """Read a packet; returns how many attachments follow."""
        try:
            return self._read(encoded_packet)
        except SwallowtailError as refusal:
            return self._refuse(refusal)
        except _FAULTS:
            if encoded_packet.count("[") + encoded_packet.count("{") > _DEEP:
                return self._refuse(InvalidInput("the JSON is nested too deeply"))
            return self._refuse(Unreadable("this is not a Socket.IO packet with JSON"))

    def add_attachment(self, attachment: Any) -> bool:
        """Take an attachment; tells whether the packet is complete."""
        try:
            if not isinstance(attachment, bytes | bytearray):
                raise Unreadable("a binary attachment was announced, and something else came")
            if not super().add_attachment(attachment):
                return False
            self._hand_over_ack()
        except SwallowtailError as refusal:
            self._refuse(refusal)
        except _FAULTS:
            self._refuse(Unreadable("the binary attachments do not fit the event"))
        return True

    def _read(self, text: Any) -> int:
        if not isinstance(text, str):
            raise Unreadable("binary data without an event")
        if len(text) > self.longest or len(text.encode("utf-8", "surrogatepass")) > self.longest:
            # Only the part before the JSON, for the address of the answer.
            super().decode(text[: text.find("[")] if "[" in text[:200] else text[:1])
            raise TooLarge(f"a message may have at most {self.longest} bytes")
        count = int(super().decode(text) or 0)
        binary = self.packet_type in (stock.BINARY_EVENT, stock.BINARY_ACK)
        if binary and count < 1:
            raise Unreadable("a binary event says how many attachments it has")
        if binary and count > MOST_ATTACHMENTS:
            raise InvalidInput(f"a binary event has at most {MOST_ATTACHMENTS} attachments")
        if self.packet_type not in (stock.CONNECT, stock.DISCONNECT, stock.ACK, stock.EVENT) and not binary:
            raise Unreadable("this type of packet is not for servers")
        if self.packet_type in (stock.EVENT, stock.BINARY_EVENT):
            self.data = _check_event(self.data)
        if self.packet_type in (stock.CONNECT, stock.DISCONNECT):
            _check_meeting(self.packet_type, self.data)
        if self.packet_type == stock.EVENT:
            self._hand_over_ack()
        return count

    def _hand_over_ack(self) -> None:
        if self.id is not None and self.packet_type in (stock.EVENT, stock.BINARY_EVENT):
            self.data = [*self.data, Ack(self.id)]
            self.id = None

    def _refuse(self, refusal: SwallowtailError) -> int:
        if self.packet_type == stock.CONNECT:
            # What is too large is as good as nothing; for what is no packet the connection ends (`order`).
            self.data = refusal if isinstance(refusal, Unreadable) else None
            return 0
        if self.packet_type not in (stock.ACK, stock.BINARY_ACK):
            self.packet_type = stock.BINARY_EVENT if self.attachment_count else stock.EVENT
        elif not self.attachment_count:
            # As a binary one it would wait for attachments, and take the next packet for one.
            self.packet_type = stock.ACK
        self.data = [REFUSED, refusal]
        self._hand_over_ack()
        return 0


def make_packet_class(settings: Settings) -> type[Packet]:
    """Return the packet class with the limits of the settings."""
    return type("LimitedPacket", (Packet,), {"longest": settings.max_body_bytes})


def _check_event(data: Any) -> list[Any]:
    """Return name and arguments of an event; a name may be a number, which is its text."""
    name = data[0] if isinstance(data, list) and data else None
    if not isinstance(name, str | int | float) or isinstance(name, bool):
        raise Unreadable("an event is a list that begins with its name")
    if name in RESERVED:
        raise Unreadable(f"{name} is not an event for clients to send", field="event")
    return [str(name), *data[1:]]


def _check_meeting(kind: int, data: Any) -> None:
    if data is not None and (kind == stock.DISCONNECT or not isinstance(data, dict)):
        raise Unreadable("a CONNECT has an object for its payload, and a DISCONNECT has none")
