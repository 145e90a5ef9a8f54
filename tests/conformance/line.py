"""A connection that sends and receives bytes of the protocol without a client library."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2
import websocket

#: Seconds to wait for anything a server is to say.
PATIENCE = 30.0
#: The same where it pings first: a session that lives says something within the pause before a ping.
GRACE = 60.0
SEPARATOR = "\x1e"
#: A page of another origin that every server under examination is to allow.
PAGE = "http://localhost:5173"


class Surprise(AssertionError):
    """A server does not do what the document requires."""


@dataclass(frozen=True)
class Peer:
    """A tested server; `sends_connected`: whether it sends `connected` at each connection."""

    name: str
    url: str
    sends_connected: bool = True
    #: Bytes that the client's side of a connection takes in before it is full; the system's choice when None.
    receive_buffer: int | None = None
    #: Bytes of a segment: with small ones, the server's side of a connection is full soon too.
    segment: int | None = None
    instance_id: str = "demo"
    #: What the client says about itself when it connects to the namespace.
    auth: dict[str, Any] | None = None

    def http(self, **query: str) -> str:
        """Return the address of a polling request; the arguments replace or add to EIO and transport."""
        arguments = {"EIO": "4", "transport": "polling", **query}
        return f"{self.url}/socket.io/?" + "&".join(f"{k}={v}" for k, v in arguments.items() if v)

    def socket(self, **query: str) -> Line:
        """Open a websocket. Raises Surprise when the server refuses it."""
        address = self.http(**{"transport": "websocket", **query}).replace("http://", "ws://")
        try:
            sockopt = [(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)] if self.receive_buffer else []
            if self.segment:
                sockopt.append((socket.IPPROTO_TCP, socket.TCP_MAXSEG, self.segment))
            return Line(websocket.create_connection(address, timeout=PATIENCE, sockopt=sockopt))
        except (websocket.WebSocketException, OSError) as refusal:
            raise Surprise(f"no websocket: {refusal}") from refusal

    def opened(self) -> Line:
        """Open a websocket and read the Engine.IO handshake."""
        line = self.socket()
        line.take_open()
        return line

    def connected(self) -> Line:
        """Open a websocket and connect to the main namespace."""
        line = self.opened()
        line.send("40" + (json.dumps(self.auth) if self.auth else ""))
        line.take_connect()
        if self.sends_connected:
            line.take_event("connected")
        return line

    def get(self, sid: str = "", headers: dict[str, str] | None = None, **query: str) -> httpx2.Response:
        """Send one polling request."""
        # Without certificates, which take longer to read than a poll.
        return httpx2.get(self.http(sid=sid, **query), timeout=GRACE, headers=headers, verify=False)

    def post(self, body: str | Iterable[bytes], sid: str, headers: dict[str, str] | None = None) -> httpx2.Response:
        """Send packets in one request; in chunks when the body is no text."""
        fields = {"Content-Type": "text/plain", **(headers or {})}
        return httpx2.post(self.http(sid=sid), content=body, timeout=GRACE, headers=fields, verify=False)

    def session(self) -> str:
        """Open a polling session; return its sid."""
        return str(read_open(self.get().text)["sid"])

    def joined(self) -> str:
        """Open a polling session, connect to the main namespace and poll everything; return its sid."""
        sid = self.session()
        self.post("40", sid)
        prefix = '"connected"' if self.sends_connected else "40{"
        self.poll_until(sid, lambda packets: any(prefix in packet for packet in packets))
        return sid

    def poll(self, sid: str) -> list[str]:
        """Return the packets of one poll; a ping is answered and left out. Raises Surprise when it is refused."""
        answer = self.get(sid)
        expect(answer.status_code, 200, "status of GET")
        packets = answer.text.split(SEPARATOR)
        if "2" in packets:
            self.post("3", sid)
        return [packet for packet in packets if packet != "2"]

    def poll_until(self, sid: str, matches: Callable[[list[str]], bool]) -> list[str]:
        """Poll until the packets are as wanted; return them."""
        end = time.monotonic() + GRACE
        received: list[str] = []
        while not matches(received):
            if time.monotonic() > end:
                raise Surprise(f"polled {received}")
            received += self.poll(sid)
        return received

    def settle(self) -> None:
        """Wait until an earlier request is being served: the server has answered later ones, one by one."""
        for _ in range(3):
            self.session()

    def wants(self, event: str = "subscribe_instance") -> str:
        """Return an event that both servers handle, as JSON."""
        return json.dumps([event, {"instance_id": self.instance_id}], separators=(",", ":"))


class Line:
    """One websocket."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._socket = connection

    def send(self, *packets: str | bytes) -> None:
        """Send each packet in a message of its own."""
        for packet in packets:
            if isinstance(packet, bytes):
                self._socket.send_binary(packet)
            else:
                self._socket.send(packet)

    def has_come(self) -> bool:
        """Return whether there is something to read: the beginning of a message, or the end of the connection."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def take(self, *, pings: bool = False) -> str | bytes:
        """Return the next message; pings are answered and left out unless requested. Raises Surprise at the end."""
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            try:
                kind, data = self._socket.recv_data()
            except (websocket.WebSocketException, OSError) as end:
                raise Surprise(f"the connection ended: {end}") from end
            if kind == websocket.ABNF.OPCODE_CLOSE:
                raise Surprise("the connection was closed")
            packet: str | bytes = data if kind == websocket.ABNF.OPCODE_BINARY else data.decode()
            if packet != "2" or pings:
                return packet
            with contextlib.suppress(websocket.WebSocketException, OSError):
                self.send("3")
        raise Surprise("timed out: nothing but pings came")

    def take_open(self) -> dict[str, Any]:
        """Return the Engine.IO handshake."""
        packet = self.take()
        return read_open(packet if isinstance(packet, str) else "")

    def take_connect(self) -> dict[str, Any]:
        """Connect to the main namespace; return the answer."""
        packet = self.take()
        if not isinstance(packet, str) or not packet.startswith("40{"):
            raise Surprise(f"not a CONNECT: {packet!r}")
        fields: dict[str, Any] = json.loads(packet[2:])
        return fields

    def take_event(self, name: str) -> list[Any]:
        """Read up to the event of this name; return its arguments. Heads and notes may come in between."""
        return list(self.take_packet(f'42["{name}"', 2)[1:])

    def outlive_pings(self, peer: Peer) -> None:
        """Answer two pings, and check that the session is open."""
        self._socket.settimeout(GRACE)
        for _ in range(2):
            while self.take(pings=True) != "2":
                continue
            self.send("3")
        self.send("421" + peer.wants())
        self.take_ack(1)

    def take_ack(self, number: int) -> list[Any]:
        """Read up to the acknowledgement of this number; return its arguments."""
        return self.take_packet(f"43{number}[", 2 + len(str(number)))

    def take_packet(self, beginning: str, skip: int) -> list[Any]:
        """Read up to the packet that begins like this; return its JSON."""
        seen = []
        while True:
            packet = self.take()
            seen.append(packet)
            if isinstance(packet, str) and packet.startswith(beginning):
                fields: list[Any] = json.loads(packet[skip:])
                return fields
            if len(seen) > 20:
                raise Surprise(f"no {beginning} among {seen}")

    def expect_end(self, timeout: float = PATIENCE) -> None:
        """Read until the server ends the connection. Raises Surprise if it does not."""
        self._socket.settimeout(1.0)
        end, said = time.monotonic() + timeout, []
        while time.monotonic() < end:
            try:
                kind, data = self._socket.recv_data()
            except websocket.WebSocketTimeoutException:
                continue
            except (websocket.WebSocketException, OSError):
                return
            if kind == websocket.ABNF.OPCODE_CLOSE:
                return
            said.append(data)
        raise Surprise(f"the connection stays open; it said {said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown()  # type: ignore[no-untyped-call]


def read_open(packet: str) -> dict[str, Any]:
    """Return the handshake in an OPEN packet."""
    if not packet.startswith("0{"):
        raise Surprise(f"not an OPEN: {packet!r}")
    fields: dict[str, Any] = json.loads(packet[1:])
    return fields


def expect(seen: object, expected: object, what: str) -> None:
    """Raise Surprise unless both are the same."""
    if seen != expected:
        raise Surprise(f"{what}: {seen!r} instead of {expected!r}")


def expect_no_socket(peer: Peer, **query: str) -> None:
    """Raise Surprise unless a websocket is refused as the client's fault, or ends."""
    try:
        line = peer.socket(**query)
    except Surprise as refusal:
        status = getattr(refusal.__cause__, "status_code", 0)
        expect(status // 100, 4, f"hundreds of the refusal's status {status}")
        return
    with line:
        line.expect_end()
