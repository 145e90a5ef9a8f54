"""Clients of one web process subscribe to five thousand instances, at a linear cost."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import redis
from sqlalchemy import insert

from bench.client import frame, handshake
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.web.websocket.frames import payload_of
from tests.harness.deployment import Deployment
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.long]
#: Without what a process does every few seconds for all that are joined: that costs by the time it takes to join them.
QUIET = {"head_check": 600, "head_interval": 600, "deaf_after": 120}
#: How many are joined when cost is compared, and how many a client joins.
STEPS, EACH = (1250, 2500, 5000), 50


class Client:
    """One websocket that joins many instances without waiting in between."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.sock.sendall(handshake(port) + frame("40"))
        self.data = b""
        self.greeted = False
        self.joined = 0

    def join(self, instances: list[str]) -> None:
        for number, name in enumerate(instances):
            self.sock.sendall(frame(f'42{number}["subscribe_instance",{{"instance_id":"{name}"}}]'))

    def read(self, number: int) -> None:
        """Read until so many are joined."""
        while self.joined < number:
            self.take(self.sock.recv(65_536))

    def take(self, data: bytes) -> None:
        """Take what came, and answer pings."""
        self.data += data
        if not self.greeted and b"\r\n\r\n" in self.data:
            self.greeted, self.data = True, self.data.partition(b"\r\n\r\n")[2]
        while self.greeted and (size := _size(self.data)) and len(self.data) >= size:
            text, self.data = payload_of(self.data[:size]), self.data[size:]
            assert b'"ok":false' not in text, text
            self.joined += text.startswith(b"43")
            if text == b"2":
                self.sock.sendall(frame("3"))


class Company(threading.Thread):
    """Clients that have joined; they answer pings while others join."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.clients: list[Client] = []
        self.leaving = threading.Event()

    def run(self) -> None:
        while not self.leaving.wait(0.1):
            for client in list(self.clients):
                with suppress(BlockingIOError):
                    client.take(client.sock.recv(65_536, socket.MSG_DONTWAIT))

    def leave(self) -> None:
        self.leaving.set()
        self.join()
        for client in self.clients:
            client.sock.close()


def _size(data: bytes) -> int:
    """Bytes of the frame at the beginning; 0 if that is not there."""
    if len(data) < 4:
        return 0
    short = data[1] & 0x7F
    return 2 + short if short < 126 else 4 + int.from_bytes(data[2:4], "big")


def make_instances(deployment: Deployment) -> list[str]:
    names = [f"many-{number}" for number in range(STEPS[-1])]
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {"id": name, "name": name, "epoch": uuid4().hex, "created_at": now, "seq": 0, "min_seq": 0} for name in names
    ]
    with deployment.runtime().db.write() as session:
        session.execute(insert(Instance), rows)
    return names


def cpu_of(url: str) -> float:
    text = httpx2.get(f"{url}/metrics", timeout=60).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("process_cpu_seconds_total "))


def test_five_thousand_instances_are_joined_at_a_cost_that_grows_with_their_number(
    new_deployment: Callable[..., Deployment],
) -> None:
    deployment = new_deployment()
    names = make_instances(deployment)
    web = deployment.start_web(env=QUIET)
    store = redis.Redis.from_url(deployment.redis.url)
    before, began = cpu_of(web.url), time.monotonic()
    costs: list[float] = []
    company = Company()
    company.start()
    try:
        for step in STEPS:
            join(company, web.port, names[len(company.clients) * EACH : step])
            wait_until(partial(announces, store, step), "Redis sends the messages of each", timeout=240)
            costs.append(cpu_of(web.url) - before)
            # Shows how long it took on this machine (`pytest -rP`).
            sys.stdout.write(f"{step} joined after {time.monotonic() - began:.1f} s, {costs[-1]:.2f} s of CPU\n")
        assert sum(client.joined for client in company.clients) == STEPS[-1]
    finally:
        company.leave()
        store.close()
    # Four times as many; quadratic would be sixteen times.
    assert costs[2] <= 6 * costs[0]


def join(company: Company, port: int, names: list[str]) -> None:
    """Have new clients join instances, and those of the company answer meanwhile."""
    shares = [names[number : number + EACH] for number in range(0, len(names), EACH)]
    fresh = [Client(port) for _ in shares]
    for client, share in zip(fresh, shares, strict=True):
        client.join(share)
    for client, share in zip(fresh, shares, strict=True):
        client.read(len(share))
    company.clients += fresh


def announces(store: redis.Redis, number: int) -> bool:
    """Return whether Redis delivers the messages of so many instances."""
    return len(store.pubsub_channels("*many-*")) == number
