"""The load client: thousands of raw websocket connections in one epoll loop, cheap enough not to be what is measured.

Run as a process of its own (`python -m bench.load`), driven by JSON lines on stdin, answering by JSON lines on stdout:

- `{"do": "connect", "port", "clients", "rooms", "window"}` opens clients, client i in room `room-<i mod rooms>`, at
  most `window` handshakes at a time; answers `{"seconds", "connected"}` once every one is subscribed.
- `{"do": "collect", "per_client", "patience"}` reads until every client has got `per_client` events more, or nothing
  has come for `patience` seconds; answers counts, latencies in milliseconds and its own CPU seconds.
- `{"do": "drop"}` closes every connection but remembers where each client stands; `{"do": "resume", …}` reconnects all.
- `{"do": "quit"}`.

An event is recognised by the mark `@<number>:<nanoseconds since 1970>@` in its text; frames are not parsed one by one.
"""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any

MARK = re.compile(rb"@(\d+):(\d+)@")
#: Where a client of the peer with connection state recovery stands: the last argument of each of its events.
OFFSET = re.compile(rb',"([0-9]+-[0-9]+)"\]')
PING, PONG = b"\x81\x012", "3"
#: Longest mark that may be cut in two by the end of a chunk.
TAIL = 96


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


@dataclass(slots=True)
class Client:
    """One connection and what it has seen."""

    room: str
    sock: socket.socket | None = None
    stage: str = "new"
    last: int = 0
    seen: int = 0
    gaps: int = 0
    repeats: int = 0
    carry: bytes = b""
    epoch: str = ""
    head: int = 0
    pid: str = ""
    offset: str = ""
    resuming: bool = False


@dataclass(slots=True)
class Tally:
    """What one collection saw."""

    latencies: list[int] = field(default_factory=list)
    bytes: int = 0


class Load:
    """All clients of one run."""

    def __init__(self) -> None:
        self.selector = selectors.EpollSelector()
        self.clients: list[Client] = []
        self.port = 0
        self.ready = 0
        self.opening = 0
        self.tally = Tally()

    def connect(self, clients: int, rooms: int, window: int) -> dict[str, Any]:
        """Open clients until all are subscribed."""
        self.clients = [Client(f"room-{place % rooms}") for place in range(clients)]
        return self._open_all(window)

    def _open_all(self, window: int) -> dict[str, Any]:
        began = time.monotonic()
        self.ready = self.opening = 0
        waiting = list(reversed(self.clients))
        last_ready, last_news = 0, time.monotonic()
        while self.ready < len(self.clients) and time.monotonic() - last_news < 60:
            while waiting and self.opening - self.ready < window:
                self._open(waiting.pop())
            self._turn(1.0)
            if self.ready != last_ready:
                last_ready, last_news = self.ready, time.monotonic()
        return {"seconds": time.monotonic() - began, "connected": self.ready}

    def _open(self, client: Client) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(("127.0.0.1", self.port))
        client.sock, client.stage, client.carry = sock, "connecting", b""
        self.opening += 1
        self.selector.register(sock, selectors.EVENT_WRITE, client)

    def _turn(self, timeout: float) -> bool:
        events = self.selector.select(timeout)
        for key, mask in events:
            client: Client = key.data
            if mask & selectors.EVENT_WRITE:
                self._send_handshake(client)
            else:
                self._read(client)
        return bool(events)

    def _send_handshake(self, client: Client) -> None:
        assert client.sock is not None
        error = client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._lose(client)
            self._open(client)
            self.opening -= 1
            return
        client.sock.send(handshake(self.port))
        client.stage = "upgrading"
        self.selector.modify(client.sock, selectors.EVENT_READ, client)

    def _read(self, client: Client) -> None:
        assert client.sock is not None
        try:
            chunk = client.sock.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._lose(client)
            return
        self.tally.bytes += len(chunk)
        if PING in chunk:
            client.sock.send(frame(PONG))
        if client.stage != "live":
            self._advance(client, chunk)
        if client.stage in ("live", "subscribing"):
            self._count(client, chunk)

    def _advance(self, client: Client, chunk: bytes) -> None:
        assert client.sock is not None
        client.carry += chunk
        if client.stage == "upgrading" and b'"sid"' in client.carry:
            client.stage, client.carry = "joining", b""
            auth = json.dumps({"pid": client.pid, "offset": client.offset}) if client.resuming and client.pid else ""
            client.sock.send(frame("40" + auth))
        elif client.stage == "joining" and b'40{"sid"' in client.carry:
            found = re.search(rb'"pid":"([^"]+)"', client.carry)
            client.pid = found[1].decode() if found else ""
            client.stage = "subscribing"
            client.sock.send(frame("420" + json.dumps(["subscribe_instance", self._wanted(client)])))
        if client.stage == "subscribing" and b'"subscribed"' in client.carry and b"430[" in client.carry:
            self._note_cursor(client)
            client.stage, self.ready, client.carry = "live", self.ready + 1, b""

    def _wanted(self, client: Client) -> dict[str, Any]:
        wanted: dict[str, Any] = {"instance_id": client.room}
        if client.resuming and client.epoch:
            wanted["since"] = {"epoch": client.epoch, "seq": client.head + client.last}
        return wanted

    def _note_cursor(self, client: Client) -> None:
        if client.resuming:
            return
        found = re.search(rb'"epoch":"([^"]*)","head":(\d+)', client.carry)
        if found is not None:
            client.epoch, client.head = found[1].decode(), int(found[2]) - client.last

    def _count(self, client: Client, chunk: bytes) -> None:
        text = client.carry + chunk if client.carry and client.stage == "live" else chunk
        arrived = time.time_ns()
        end, last = 0, client.last
        latencies = self.tally.latencies
        for mark in MARK.finditer(text):
            number = int(mark[1])
            if number == last + 1:
                last = number
                client.seen += 1
                latencies.append(arrived - int(mark[2]))
            elif number <= last:
                client.repeats += 1
            else:
                client.gaps += 1
                last = number
                client.seen += 1
            end = mark.end()
        client.last = last
        if client.pid and end:
            offsets = OFFSET.findall(text, max(0, end - 64))
            client.offset = offsets[-1].decode() if offsets else client.offset
        if client.stage == "live":
            client.carry = text[max(end, len(text) - TAIL) :]

    def _lose(self, client: Client) -> None:
        assert client.sock is not None
        self.selector.unregister(client.sock)
        client.sock.close()
        client.sock, client.stage = None, "lost"

    def collect(self, per_client: int, patience: float) -> dict[str, Any]:
        """Read until every client has `per_client` events more, or nothing comes any more."""
        self.tally = Tally()
        for client in self.clients:
            client.seen = client.gaps = client.repeats = 0
        used = _cpu()
        began = last_news = time.monotonic()
        goal = per_client * len(self.clients)
        while (have := len(self.tally.latencies)) < goal and time.monotonic() - last_news < patience:
            self._turn(0.5)
            if len(self.tally.latencies) != have:
                last_news = time.monotonic()
        return self._sum_up(goal, time.monotonic() - began, _cpu() - used)

    def _sum_up(self, goal: int, seconds: float, used: float) -> dict[str, Any]:
        ordered = sorted(self.tally.latencies)
        got = sum(client.seen for client in self.clients)

        def percentile(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6 if ordered else float("nan")

        return {
            "expected": goal,
            "delivered": got,
            "lost": goal - got,
            "repeated": sum(client.repeats for client in self.clients),
            "gaps": sum(client.gaps for client in self.clients),
            "disconnected": sum(client.sock is None for client in self.clients),
            "p50_ms": percentile(0.5),
            "p99_ms": percentile(0.99),
            "max_ms": ordered[-1] / 1e6 if ordered else float("nan"),
            "seconds": seconds,
            "client_cpu_s": used,
            "bytes": self.tally.bytes,
        }

    def drop(self) -> dict[str, Any]:
        """Close every connection, keeping each client's place."""
        for client in self.clients:
            if client.sock is not None:
                self._lose(client)
        return {"dropped": len(self.clients)}

    def resume(self, per_client: int, window: int, patience: float) -> dict[str, Any]:
        """Reconnect every client where it stood and read `per_client` missed events each."""
        began = time.monotonic()
        self.tally = Tally()
        for client in self.clients:
            client.resuming, client.seen, client.gaps, client.repeats = True, 0, 0, 0
        used = _cpu()
        self._open_all(window)
        goal, last_news = per_client * len(self.clients), time.monotonic()
        while (have := len(self.tally.latencies)) < goal and time.monotonic() - last_news < patience:
            self._turn(0.5)
            if len(self.tally.latencies) != have:
                last_news = time.monotonic()
        return self._sum_up(goal, time.monotonic() - began, _cpu() - used)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Obey the lines on stdin until `quit` or the end."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    load = Load()
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        if do == "quit":
            break
        load.port = order.pop("port", load.port)
        answer = getattr(load, do)(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
