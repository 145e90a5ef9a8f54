"""One raw websocket client of the load: its handshake, its subscription, and where it stands."""

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


class Domain(Enum):
    """How far a client's connection is."""

    NEW = auto()
    CONNECTING = auto()
    UPGRADING = auto()
    JOINING = auto()
    SUBSCRIBING = auto()
    LIVE = auto()
    LOST = auto()


@dataclass(slots=True, eq=False)
class Client:
    """A connection and its place in the stream. `head` and `epoch` are those of our log, `pid` and `offset` Node's."""

    room: str
    sock: socket.socket = field(init=False)
    domain: Domain = Domain.NEW
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
        self.domain, self.carry = Domain.CONNECTING, b""

    def greet(self, port: int) -> bool:
        """Ask for a websocket once the connection stands; tells whether it does."""
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        self.sock.send(handshake(port))
        self.domain = Domain.UPGRADING
        return True

    def advance(self, piece: bytes) -> bool:
        """Take what came before the subscription stood; tells whether it stands now."""
        text = self.carry + piece
        if self.domain is Domain.UPGRADING and b'"sid"' in text:
            self.domain, text = Domain.JOINING, b""
            auth = json.dumps({"pid": self.pid, "offset": self.offset}) if self.resuming and self.pid else ""
            self.sock.send(frame("40" + auth))
        elif self.domain is Domain.JOINING and b'40{"sid"' in text:
            found = _PID.search(text)
            self.pid = found[1].decode() if found else ""
            self.domain, text = Domain.SUBSCRIBING, b""
            self.sock.send(frame("420" + json.dumps(["subscribe_instance", self._wanted()])))
        elif self.domain is Domain.SUBSCRIBING and b"430[" in text:
            self._note_cursor(text)
            self.domain, text = Domain.LIVE, b""
        # Of what was missed, which may come before the answer, only as much as an answer may be cut in two.
        self.carry = text[-512:] if self.domain is Domain.SUBSCRIBING else text
        return self.domain is Domain.LIVE

    def _wanted(self) -> dict[str, Any]:
        wanted: dict[str, Any] = {"instance_id": self.room}
        if self.resuming and self.epoch:
            wanted["since"] = {"epoch": self.epoch, "seq": self.head + self.last}
        return wanted

    def _note_cursor(self, text: bytes) -> None:
        found = None if self.resuming else _CURSOR.search(text)
        if found is not None:
            self.epoch, self.head = found[1].decode(), int(found[2]) - self.last


def frame(text: str) -> bytes:
    """Return a masked text frame; the mask is zero, which is a mask like any other and costs nothing."""
    payload = text.encode()
    short = len(payload) < 126
    head = bytes((0x81, 0x80 | len(payload))) if short else b"\x81\xfe" + len(payload).to_bytes(2, "big")
    return head + b"\x00\x00\x00\x00" + payload


def handshake(port: int) -> bytes:
    """Return the request that asks for a websocket at once."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
