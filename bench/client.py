"""One raw WebSocket client of the load: handshake, subscription and position in the stream."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from bench.arrivals import Arrivals

PING, PONG = b"\x81\x012", "3"
_CURSOR = re.compile(rb'"epoch":"([^"]*)","head":(\d+)')
_PID = re.compile(rb'"pid":"([^"]+)"')


class Phase(Enum):
    """The phase of a client's connection."""

    NEW = auto()
    CONNECTING = auto()
    UPGRADING = auto()
    JOINING = auto()
    SUBSCRIBING = auto()
    LIVE = auto()
    LOST = auto()


@dataclass(slots=True, eq=False)
class LoadClient:
    """A connection and its position: `head` and `epoch` in our log, `pid` and `offset` in Node."""

    room: str
    sock: socket.socket = field(init=False)
    phase: Phase = Phase.NEW
    carry: bytes = b""
    resuming: bool = False
    last: int = 0
    epoch: str = ""
    head: int = 0
    pid: str = ""
    offset: str = ""
    arrivals: Arrivals = field(default_factory=Arrivals)

    def open(self, port: int) -> None:
        """Begin to connect."""
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex(("127.0.0.1", port))
        self.phase, self.carry = Phase.CONNECTING, b""

    def send_upgrade(self, port: int) -> bool:
        """Send the WebSocket request once the connection is established; return whether it is."""
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        self.sock.send(handshake(port))
        self.phase = Phase.UPGRADING
        return True

    def advance(self, piece: bytes) -> bool:
        """Handle what arrives before the subscription is complete; return whether it is."""
        text = self.carry + piece
        if self.phase is Phase.UPGRADING and b'"sid"' in text:
            self.phase, text = Phase.JOINING, b""
            auth = json.dumps({"pid": self.pid, "offset": self.offset}) if self.resuming and self.pid else ""
            self.sock.send(frame("40" + auth))
        elif self.phase is Phase.JOINING and b'40{"sid"' in text:
            match = _PID.search(text)
            self.pid = match[1].decode() if match else ""
            self.phase, text = Phase.SUBSCRIBING, b""
            self.sock.send(frame("420" + json.dumps(["subscribe_instance", self._subscription()])))
        elif self.phase is Phase.SUBSCRIBING and b"430[" in text:
            self._note_cursor(text)
            self.phase, text = Phase.LIVE, b""
        # Missed events may arrive before the answer; only the part that could hold a cut answer is kept.
        self.carry = text[-512:] if self.phase is Phase.SUBSCRIBING else text
        return self.phase is Phase.LIVE

    def _subscription(self) -> dict[str, Any]:
        subscription: dict[str, Any] = {"instance_id": self.room}
        if self.resuming and self.epoch:
            subscription["since"] = {"epoch": self.epoch, "seq": self.head + self.last}
        return subscription

    def _note_cursor(self, text: bytes) -> None:
        match = None if self.resuming else _CURSOR.search(text)
        if match is not None:
            self.epoch, self.head = match[1].decode(), int(match[2]) - self.last


def frame(text: str) -> bytes:
    """Return a masked text frame; the mask is zero, which is valid and costs nothing."""
    payload = text.encode()
    short = len(payload) < 126
    head = bytes((0x81, 0x80 | len(payload))) if short else b"\x81\xfe" + len(payload).to_bytes(2, "big")
    return head + b"\x00\x00\x00\x00" + payload


def handshake(port: int) -> bytes:
    """Return the request for an immediate WebSocket handshake."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
