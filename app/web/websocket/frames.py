"""Websocket frames (RFC 6455, section 5) as a server writes and reads them. The road's very last inch.

A message is framed once for all clients. Reading is incremental: whatever has arrived goes in, whole messages come out.
"""

from __future__ import annotations

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
#: Also what `FrameReader.next` calls a frame that is a piece of a message and not its last.
PIECE = 0x0
#: What a close frame says (section 7.4.1).
GOING_AWAY, PROTOCOL_ERROR, NOT_TEXT, NOT_WANTED, TOO_BIG, LATER = 1001, 1002, 1007, 1008, 1009, 1013
_LONGEST_CONTROL = 125


class FrameError(Exception):
    """A client broke the protocol; `code` goes into the close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def pack(payload: bytes, kind: int = TEXT) -> bytes:
    """Return one whole frame of a server."""
    return head(len(payload), kind) + payload


def head(size: int, kind: int = TEXT) -> bytes:
    """Return what comes before a payload of `size` bytes, which follows as it is: a server does not mask."""
    if size < 126:
        return bytes((0x80 | kind, size))
    if size < 65_536:
        return bytes((0x80 | kind, 126)) + size.to_bytes(2, "big")
    return bytes((0x80 | kind, 127)) + size.to_bytes(8, "big")


def pack_close(code: int) -> bytes:
    """Return the frame that ends a connection."""
    return pack(code.to_bytes(2, "big"), CLOSE)


def payload_of(frame: bytes) -> bytes:
    """Return what `pack` was given."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class FrameReader:
    """Turns what a client sends into messages of at most `most` bytes. Holds nothing between two messages."""

    __slots__ = ("_at", "_kind", "_more", "_needed", "_parts", "_rest", "_size", "most")

    def __init__(self, most: int) -> None:
        #: Bytes of a message; may be changed at any time.
        self.most = most
        self._rest = b""
        self._at = 0
        #: What came while the frame at the beginning of `_rest` was known to lack something.
        self._more = bytearray()
        self._needed = 0
        self._kind = 0
        self._size = 0
        self._parts: list[bytes] | None = None

    @property
    def waiting(self) -> int:
        """How many bytes have arrived that have not been read."""
        return len(self._rest) - self._at + len(self._more)

    @property
    def held(self) -> int:
        """How many bytes are kept for a message that is not all there, or has not been read."""
        return len(self._rest) - self._at + len(self._more) + self._size

    def feed(self, data: bytes) -> None:
        """Take what has arrived, at a cost that grows with it and not with what is there."""
        if not self._rest:
            self._rest, self._at = data, 0
            return
        self._more += data
        if self.waiting >= self._needed:
            self._rest = self._rest[self._at :] + self._more
            self._at, self._needed = 0, 0
            self._more.clear()

    def next(self) -> tuple[int, bytes] | None:
        """Return the kind and the payload of the next message or control frame; None when it is not all there.

        A frame that is a piece of a message and not its last is a `PIECE` without payload.

        Raises:
            FrameError: the client does not keep to the protocol, or to the limit.
        """
        if self._more or (found := self._take()) is None:
            return None
        kind, final, payload = found
        if kind >= CLOSE or (self._parts is None and final):
            return kind, payload
        if self._parts is None:
            self._kind, self._parts = kind, []
        return self._join(self._parts, payload, final)

    def _take(self) -> tuple[int, bool, bytes] | None:
        """Take one frame out of what has arrived."""
        rest, at = self._rest, self._at
        if len(rest) < at + 2:
            self._lack(2)
            return None
        first, second = rest[at], rest[at + 1]
        kind, final, size = first & 0x0F, bool(first & 0x80), second & 0x7F
        self._check(first, second)
        begin = at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(rest) < begin + width:
                self._lack(2 + width)
                return None
            size = int.from_bytes(rest[begin : begin + width], "big")
            begin += width
        if size + self._size > self.most:
            raise FrameError(TOO_BIG, "a message is too large")
        end = begin + 4 + size
        if len(rest) < end:
            self._lack(end - at)
            return None
        payload = unmask(rest[begin + 4 : end], rest[begin : begin + 4])
        self._at = end
        return kind, final, payload

    def _lack(self, needed: int) -> None:
        """Wait for so many bytes of the frame that is next."""
        self._needed = needed
        if self._at:
            self._rest = self._rest[self._at :]
            self._at = 0

    def _check(self, first: int, second: int) -> None:
        kind = first & 0x0F
        if first & 0x70:
            raise FrameError(PROTOCOL_ERROR, "no extension was agreed on")
        if not second & 0x80:
            raise FrameError(PROTOCOL_ERROR, "a client's frame has to be masked")
        if kind >= CLOSE:
            if kind > PONG or not first & 0x80 or second & 0x7F > _LONGEST_CONTROL:
                raise FrameError(PROTOCOL_ERROR, "this is not a control frame")
        elif kind > BINARY or (kind == PIECE) == (self._parts is None):
            raise FrameError(PROTOCOL_ERROR, "this frame does not continue what came before it")
        elif not second & 0x7F and (kind == PIECE or not first & 0x80):
            raise FrameError(NOT_WANTED, "a piece of a message has to hold something")

    def _join(self, parts: list[bytes], payload: bytes, final: bool) -> tuple[int, bytes]:
        """Take a piece of a message in several frames; returns the message with its last piece."""
        parts.append(payload)
        self._size += len(payload)
        if not final:
            return PIECE, b""
        self._parts, self._size = None, 0
        return self._kind, b"".join(parts)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Return what a client masked (section 5.3)."""
    size = len(payload)
    if not size or mask == b"\x00\x00\x00\x00":
        return payload
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")
