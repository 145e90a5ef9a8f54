"""Two hundred raw websockets connect to a real web process, stall and reconnect while two authors write."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conformance.line import Line, Peer, Surprise
from tests.harness.deployment import Deployment
from tests.journey.event_writer import Author, BusyAuthor

pytestmark = [pytest.mark.journey, pytest.mark.long]

CLIENTS = 200
#: Receive buffer, in bytes, of a client that does not read: small, so that the process soon cannot write.
LITTLE = 4096
#: Seconds over which clients connect, and for which some of them do not read.
SPREAD, STALL = 3.0, 2.0


@dataclass
class SocketClient:
    """One client: `seqs` are the numbers that it received, in order, over all its connections."""

    peer: Peer
    number: int
    since: dict[str, Any] | None = None
    seqs: list[int] = field(default_factory=list)
    first: int | None = None
    faults: list[str] = field(default_factory=list)

    def receive(self, may_end: Callable[[int], bool]) -> None:
        """Receive over one or two connections until `may_end` of the last number is true."""
        luck = random.Random(self.number)
        time.sleep(luck.random() * SPREAD)
        if self.number % 4 == 0:
            self._connect(lambda last: len(self.seqs) > 30, stall=False)
        self._connect(may_end, stall=self.number % 10 == 1)

    def _connect(self, may_end: Callable[[int], bool], *, stall: bool) -> None:
        with self.peer.connected() as line:
            subscription: dict[str, Any] = {"instance_id": self.peer.instance_id}
            if self.since is not None:
                subscription["since"] = self.since
            line.send("420" + json.dumps(["subscribe_instance", subscription]))
            (reply,) = line.take_ack(0)
            if self.since is None:
                self.since = {"epoch": reply["epoch"], "seq": reply["head"]}
                self.first = reply["head"] + 1
            elif reply["mode"] != "replay":
                self.faults.append(f"a {reply['mode']} instead of a replay")
            if stall:
                time.sleep(STALL)
            self._read(line, may_end)

    def _read(self, line: Line, may_end: Callable[[int], bool]) -> None:
        assert self.since is not None
        while not may_end(self.since["seq"]):
            packet = line.take(pings=True)
            if packet == "2":
                line.send("3")
            elif isinstance(packet, str) and packet.startswith("42["):
                name, payload = json.loads(packet[2:])
                if "id" in payload:
                    self.seqs.append(payload["seq"])
                    self.since = {"epoch": payload["epoch"], "seq": payload["seq"]}
                elif name in ("reset", "error"):
                    self.faults.append(packet)


def test_two_hundred_sockets_miss_and_repeat_nothing(new_deployment: Callable[..., Deployment]) -> None:
    deployment = new_deployment(env={"ring_events": 50})
    web = deployment.start_web()
    author = Author(deployment)
    author.play()
    plain = Peer("ours", web.url, instance_id=author.instance_id)
    small = Peer("ours", web.url, instance_id=author.instance_id, receive_buffer=LITTLE)
    clients = [SocketClient(small if number % 10 == 1 else plain, number) for number in range(CLIENTS)]
    over, final = threading.Event(), [0]

    def run(client: SocketClient) -> None:
        try:
            client.receive(lambda last: over.is_set() and last >= final[0])
        except (Surprise, OSError) as end:
            client.faults.append(f"{type(end).__name__}: {end}")

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    with BusyAuthor(author, pause=0.01), BusyAuthor(Author(deployment, author.instance_id), pause=0.01):
        for thread in threads:
            thread.start()
        time.sleep(SPREAD + STALL)
    final[0] = author.head
    over.set()
    for thread in threads:
        thread.join()
    assert [fault for client in clients for fault in client.faults] == []
    for client in clients:
        assert client.first is not None
        assert client.seqs == list(range(client.first, final[0] + 1)), client.number
