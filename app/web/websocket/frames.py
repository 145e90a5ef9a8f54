"""Encodes and decodes websocket frames (RFC 6455, section 5) on the server's side.

A message is framed once for all clients. Decoding is incremental: `feed` takes what has arrived, `next` returns
complete messages.
"""

from __future__ import annotations

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
#: The kind that `FrameReader.next` returns for a frame that is a fragment of a message and not its last.
FRAGMENT = 0x0
#: Codes of close frames (section 7.4.1).
GOING_AWAY, PROTOCOL_ERROR, INVALID_TEXT = 1001, 1002, 1007
POLICY_VIOLATION, TOO_BIG, TRY_AGAIN_LATER = 1008, 1009, 1013
_MAX_CONTROL_PAYLOAD = 125


class FrameError(Exception):
    """A client violated the protocol. `code` goes into the close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def pack(payload: bytes, kind: int = TEXT) -> bytes:
    """Return one complete server frame."""
    return head(len(payload), kind) + payload


def head(size: int, kind: int = TEXT) -> bytes:
    """Return the frame header for a payload of `size` bytes. A server does not mask the payload."""
    if size < 126:
        return bytes((0x80 | kind, size))
    if size < 65_536:
        return bytes((0x80 | kind, 126)) + size.to_bytes(2, "big")
    return bytes((0x80 | kind, 127)) + size.to_bytes(8, "big")


def pack_close(code: int) -> bytes:
    """Return the close frame with this code."""
    return pack(code.to_bytes(2, "big"), CLOSE)


def reply_code(payload: bytes) -> int:
    """Return the code that answers a client's close frame: its own, if a client may send it."""
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else GOING_AWAY
    return code if 1000 <= code < 5000 and code not in (1005, 1006, 1015) else GOING_AWAY


def payload_of(frame: bytes) -> bytes:
    """Return the payload of a frame that `pack` made."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class FrameReader:
    """Decodes a client's bytes into messages. Holds no memory between two messages."""

    __slots__ = ("_arrived", "_at", "_buffer", "_fragments", "_kind", "_needed", "_size", "max_message")

    def __init__(self, max_message: int) -> None:
        #: Most bytes of a message; may change at any time.
        self.max_message = max_message
        self._buffer = b""
        self._at = 0
        #: Bytes that arrived while the frame at the start of `_buffer` was known to be incomplete.
        self._arrived = bytearray()
        self._needed = 0
        self._kind = 0
        self._size = 0
        self._fragments: list[bytes] | None = None

    @property
    def unread(self) -> int:
        """Bytes that have arrived and are not decoded."""
        return len(self._buffer) - self._at + len(self._arrived)

    @property
    def buffered(self) -> int:
        """Bytes that are kept: undecoded ones, and the fragments of an incomplete message."""
        return len(self._buffer) - self._at + len(self._arrived) + self._size

    def feed(self, data: bytes) -> None:
        """Add bytes that have arrived. Its cost grows with `data`, not with what is buffered."""
        if not self._buffer:
            self._buffer, self._at = data, 0
            return
        self._arrived += data
        if self.unread >= self._needed:
            self._buffer = self._buffer[self._at :] + self._arrived
            self._at, self._needed = 0, 0
            self._arrived.clear()

    def next(self) -> tuple[int, bytes] | None:
        """Return kind and payload of the next message or control frame; None while it is incomplete.

        A fragment that is not the last of its message is returned as `FRAGMENT` without payload. Raises FrameError.
        """
        if self._arrived or (frame := self._decode()) is None:
            return None
        kind, final, payload = frame
        if kind >= CLOSE or (self._fragments is None and final):
            return kind, payload
        if self._fragments is None:
            self._kind, self._fragments = kind, []
        return self._join(self._fragments, payload, final)

    def _decode(self) -> tuple[int, bool, bytes] | None:
        """Decode one frame of the buffer into kind, whether it is final, and payload."""
        buffer, at = self._buffer, self._at
        if len(buffer) < at + 2:
            self._wait_for(2)
            return None
        first, second = buffer[at], buffer[at + 1]
        kind, final, size = first & 0x0F, bool(first & 0x80), second & 0x7F
        self._check(first, second)
        begin = at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < begin + width:
                self._wait_for(2 + width)
                return None
            size = int.from_bytes(buffer[begin : begin + width], "big")
            begin += width
        if size + self._size > self.max_message:
            raise FrameError(TOO_BIG, "a message is too large")
        end = begin + 4 + size
        if len(buffer) < end:
            self._wait_for(end - at)
            return None
        payload = unmask(buffer[begin + 4 : end], buffer[begin : begin + 4])
        self._at = end
        return kind, final, payload

    def _wait_for(self, size: int) -> None:
        """Wait until `size` bytes of the next frame are there."""
        self._needed = size
        if self._at:
            self._buffer = self._buffer[self._at :]
            self._at = 0

    def _check(self, first: int, second: int) -> None:
        kind = first & 0x0F
        if first & 0x70:
            raise FrameError(PROTOCOL_ERROR, "a reserved bit is set, but no extension was negotiated")
        if not second & 0x80:
            raise FrameError(PROTOCOL_ERROR, "a client's frame must be masked")
        if kind >= CLOSE:
            if kind > PONG or not first & 0x80 or second & 0x7F > _MAX_CONTROL_PAYLOAD:
                raise FrameError(PROTOCOL_ERROR, "the control frame is malformed")
        elif kind > BINARY or (kind == FRAGMENT) == (self._fragments is None):
            raise FrameError(PROTOCOL_ERROR, "the frame does not continue the message before it")
        elif not second & 0x7F and (kind == FRAGMENT or not first & 0x80):
            raise FrameError(POLICY_VIOLATION, "a fragment must not be empty")

    def _join(self, fragments: list[bytes], payload: bytes, final: bool) -> tuple[int, bytes]:
        """Add a fragment; return the message with its last fragment."""
        fragments.append(payload)
        self._size += len(payload)
        if not final:
            return FRAGMENT, b""
        self._fragments, self._size = None, 0
        return self._kind, b"".join(fragments)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Return the payload without the client's mask (section 5.3)."""
    size = len(payload)
    if not size or mask == b"\x00\x00\x00\x00":
        return payload
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")
