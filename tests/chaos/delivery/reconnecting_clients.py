"""Thousands of raw WebSocket clients in one process that reconnect by themselves and check every event number.

Run as `python -m tests.chaos.delivery.reconnecting_clients PORT CLIENTS INSTANCE…`; client i subscribes to instance i
modulo their number. Each reconnects when the server asks for it (`restarting`, `busy`); after any other loss it
reconnects within a second. A line on standard input requests a report as one line of JSON; the end of the input ends
the process.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import selectors
import socket
import sys
import time
from collections import Counter
from typing import Any

from bench.client import frame, handshake

#: Seconds within which a client reconnects if the server named no delay.
SPREAD = 1.0
HANDSHAKE_END = b"\r\n\r\n"


class ReconnectingClient:
    """One client over all its connections: the last number it received, and whether each was the expected one."""

    __slots__ = ("data", "epoch", "instance_id", "last", "phase", "reconnect_in", "sock", "upgraded")

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self.sock: socket.socket | None = None
        self.epoch = ""
        self.last: int | None = None
        self.reconnect_in: float | None = None
        self.begin()

    def begin(self) -> None:
        """Reset the state of the connection."""
        self.data = b""
        self.upgraded = False
        self.phase = "away"


class Clients:
    """All clients, in one loop."""

    def __init__(self, port: int, clients: list[ReconnectingClient]) -> None:
        self.port = port
        self.clients = clients
        self.selector = selectors.DefaultSelector()
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._plans: list[tuple[float, int, Any]] = []
        self._order = itertools.count()

    def run(self) -> None:
        """Run until the input ends."""
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        for client in self.clients:
            self._later(random.uniform(0, SPREAD), lambda client=client: self._open(client))
        while True:
            for key, mask in self.selector.select(self._pause()):
                if key.data is None:
                    if not sys.stdin.readline():
                        return
                    sys.stdout.write(json.dumps(self._report()) + "\n")
                    sys.stdout.flush()
                elif mask & selectors.EVENT_WRITE:
                    self._send_handshake(key.data)
                else:
                    self._read(key.data)
            while self._plans and self._plans[0][0] <= time.monotonic():
                heapq.heappop(self._plans)[2]()

    def _report(self) -> dict[str, Any]:
        behind: dict[str, int | None] = {}
        for client in self.clients:
            known = behind.setdefault(client.instance_id, client.last)
            behind[client.instance_id] = None if None in (known, client.last) else min(known or 0, client.last or 0)
        live = sum(client.phase == "live" for client in self.clients)
        return {"live": live, "hindmost": behind, "faults": self.faults[:10], **self.counts}

    def _later(self, seconds: float, call: Any) -> None:
        heapq.heappush(self._plans, (time.monotonic() + seconds, next(self._order), call))

    def _pause(self) -> float:
        return max(0.0, self._plans[0][0] - time.monotonic()) if self._plans else 1.0

    def _open(self, client: ReconnectingClient) -> None:
        client.begin()
        client.sock = socket.socket()
        client.sock.setblocking(False)
        client.sock.connect_ex(("127.0.0.1", self.port))
        self.selector.register(client.sock, selectors.EVENT_WRITE, client)

    def _send_handshake(self, client: ReconnectingClient) -> None:
        assert client.sock is not None
        try:
            client.sock.send(handshake(self.port) + frame("40"))
        except OSError:
            self._lose(client)
            return
        self.selector.modify(client.sock, selectors.EVENT_READ, client)

    def _lose(self, client: ReconnectingClient) -> None:
        assert client.sock is not None
        self.selector.unregister(client.sock)
        client.sock.close()
        if client.phase == "live":
            self.counts["losses"] += 1
        client.phase, client.sock = "away", None
        wait, client.reconnect_in = client.reconnect_in, None
        self._later(random.uniform(0, SPREAD) if wait is None else wait, lambda: self._open(client))

    def _read(self, client: ReconnectingClient) -> None:
        assert client.sock is not None
        try:
            chunk = client.sock.recv(262_144)
        except OSError:
            chunk = b""
        if not chunk:
            self._lose(client)
            return
        client.data += chunk
        if not client.upgraded:
            _, separator, rest = client.data.partition(HANDSHAKE_END)
            if not separator:
                return
            client.upgraded, client.data = True, rest
        for packet in self._split_frames(client):
            self._receive(client, packet)

    def _split_frames(self, client: ReconnectingClient) -> list[bytes]:
        packets, data, start_at = [], client.data, 0
        while len(data) - start_at >= 2:
            size, start = data[start_at + 1], start_at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, start = int.from_bytes(data[start : start + width], "big"), start + width
            if len(data) < start + size:
                break
            if data[start_at] == 0x81:
                packets.append(data[start : start + size])
            start_at = start + size
        client.data = data[start_at:]
        return packets

    def _receive(self, client: ReconnectingClient, packet: bytes) -> None:
        if packet == b"2":
            self._send(client, "3")
        elif packet.startswith(b"40"):
            self._subscribe(client)
        elif packet.startswith(b"43"):
            self._receive_answer(client, json.loads(packet[packet.index(b"[") :])[0])
        elif packet.startswith(b"42"):
            name, payload = json.loads(packet[2:])
            if "id" in payload:
                self._receive_event(client, payload)
            elif name == "restarting":
                self.counts["restarting"] += 1
                client.reconnect_in = payload["retry_after_ms"] / 1000
            elif name == "reset":
                self.faults.append(f"reset: {payload['reason']}")

    def _subscribe(self, client: ReconnectingClient) -> None:
        wanted: dict[str, Any] = {"instance_id": client.instance_id}
        if client.last is not None:
            wanted["since"] = {"epoch": client.epoch, "seq": client.last}
        self._send(client, "420" + json.dumps(["subscribe_instance", wanted]))

    def _send(self, client: ReconnectingClient, packet: str) -> None:
        try:
            if client.sock is not None:
                client.sock.send(frame(packet))
        except OSError:
            # Remaining data is read before the end of the connection.
            self.counts["unsent"] += 1

    def _receive_answer(self, client: ReconnectingClient, answer: dict[str, Any]) -> None:
        if answer["ok"]:
            if client.last is None:
                client.epoch, client.last = answer["epoch"], answer["head"]
            elif answer["mode"] != "replay":
                self.faults.append(f"{answer['mode']} instead of a replay")
            client.phase = "live"
        elif "retry_after_ms" in answer["error"]:
            self.counts[answer["error"]["code"]] += 1
            sock = client.sock
            wait = answer["error"]["retry_after_ms"] / 1000
            self._later(wait, lambda: self._subscribe(client) if client.sock is sock else None)
        else:
            self.faults.append(f"refused: {answer['error']}")

    def _receive_event(self, client: ReconnectingClient, event: dict[str, Any]) -> None:
        if client.last is None or event["seq"] != client.last + 1 or event["epoch"] != client.epoch:
            self.faults.append(f"{event['seq']} after {client.last}")
        client.last = event["seq"]
        self.counts["events"] += 1


def main() -> None:
    """Run the clients that the arguments describe."""
    port, count, *instances = sys.argv[1:]
    Clients(int(port), [ReconnectingClient(instances[number % len(instances)]) for number in range(int(count))]).run()


if __name__ == "__main__":
    main()
