"""Floods from one address are refused, and an honest client elsewhere gets every event."""

from __future__ import annotations

import errno
import math
import re
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from swallowtail.app.web.serving.fd_limit import raise_limit
from tests.harness.deployment import Deployment
from tests.harness.recorder import ResumingRecorder
from tests.harness.waiting import PATIENCE
from tests.journey.event_writer import Author, BusyAuthor

ATTACKER = "127.0.0.2"
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
#: Connections that start before the first of them is served, and how often: one second of a flood of 2,000 per second.
AT_ONCE, WAVES = 2000, 3
#: New connections that an address may open per minute.
ALLOWED = 60


class Flood:
    """Opens very many connections at the same time, and keeps the response to each."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.opened = 0
        self.answers: list[bytes] = []
        self.seconds = 0.0
        #: Seconds of them in which connections were opened.
        self.opening_seconds = 0.0

    def run(self) -> None:
        began = time.monotonic()
        for _ in range(WAVES):
            self.send_wave()
        self.seconds = time.monotonic() - began

    def send_wave(self) -> None:
        with selectors.DefaultSelector() as selector:
            began = time.monotonic()
            for _ in range(AT_ONCE):
                selector.register(self.open(), selectors.EVENT_WRITE, bytearray())
            self.opening_seconds += time.monotonic() - began
            end = time.monotonic() + PATIENCE
            while selector.get_map() and time.monotonic() < end:
                for key, _ in selector.select(1.0):
                    self.advance(selector, key)
            for key in list(selector.get_map().values()):
                self.finish(selector, key)

    def open(self) -> socket.socket:
        line = socket.socket()
        line.setblocking(False)
        line.bind((ATTACKER, 0))
        assert line.connect_ex(self.address) in (0, errno.EINPROGRESS)
        self.opened += 1
        return line

    def advance(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        """Request a websocket once the connection is open, then read the response."""
        line = cast("socket.socket", key.fileobj)
        try:
            if key.events == selectors.EVENT_WRITE:
                line.send(UPGRADE)
                selector.modify(line, selectors.EVENT_READ, key.data)
                return
            received = line.recv(4096)
        except OSError:
            received = b""
        key.data.extend(received)
        if not received or b"\r\n\r\n" in key.data:
            self.finish(selector, key)

    def finish(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        selector.unregister(key.fileobj)
        cast("socket.socket", key.fileobj).close()
        self.answers.append(bytes(key.data))


def open_line(address: tuple[str, int]) -> socket.socket:
    line = socket.create_connection(address, timeout=30, source_address=(ATTACKER, 0))
    line.sendall(UPGRADE)
    while b"\r\n\r\n" not in line.recv(4096):
        continue
    return line


def send_ten_megabytes(line: socket.socket) -> None:
    """Start a frame of ten megabytes and send it until the server closes."""
    size = 10 * 1024 * 1024
    try:
        line.sendall(b"\x81\xff" + size.to_bytes(8, "big") + b"\0\0\0\0")
        for _ in range(160):
            line.sendall(b"4" * 65_536)
    except OSError:
        return


def test_an_honest_client_is_served_while_others_flood(new_deployment: Callable[..., Deployment]) -> None:
    raise_limit(2 * AT_ONCE)
    deployment = new_deployment(env={"limits": "on", "connect_limit": f"{ALLOWED}/minute", "limit_timeout": 1})
    web = deployment.start_web()
    where = urlsplit(web.url)
    assert where.hostname
    address = (where.hostname, where.port or 80)
    author = Author(deployment)
    flood = Flood(address)
    with ResumingRecorder(web.url) as client:
        client.follow(author.instance_id)
        large = [open_line(address) for _ in range(4)]
        threads = [threading.Thread(target=flood.run)]
        threads += [threading.Thread(target=send_ten_megabytes, args=(line,)) for line in large]
        with BusyAuthor(author):
            for thread in threads:
                thread.start()
            # An honest client connects in the middle of the flood.
            late = ResumingRecorder(web.url).connect()
            head = late.follow(author.instance_id)["head"]
            for thread in threads:
                thread.join()
        client.wait_for_log(author.instance_id, author.head)
        assert client.log(author.instance_id) == author.events
        assert late.wait_for_log(author.instance_id, author.head) == author.events[head:]
        late.disconnect()
        for line in large:
            line.close()
    # Shows how strong the flood was on this machine (`pytest -rP`).
    opened, answered = (round(flood.opened / seconds) for seconds in (flood.opening_seconds, flood.seconds))
    sys.stdout.write(f"{opened} connections a second opened, {answered} a second answered\n")
    # Every connection got a response: accepted, or refused with the time to try again.
    assert flood.opened == len(flood.answers) == AT_ONCE * WAVES
    assert Counter(map(read_answer, flood.answers)).keys() == {"101", "429"}
    # Only what refilled in that time was accepted.
    accepted = sum(read_answer(answer) == "101" for answer in flood.answers)
    assert accepted <= ALLOWED + math.ceil(flood.seconds * ALLOWED / 60)
    assert "Traceback" not in web.log_text()


def read_answer(answer: bytes) -> str:
    """Return the status of a response; a refusal has whole seconds in Retry-After."""
    status = answer[9:12].decode()
    if status == "429":
        received = re.search(rb"^Retry-After: (\d+)\r$", answer, re.MULTILINE)
        assert received is not None
        assert 1 <= int(received[1]) <= 60
    return status
