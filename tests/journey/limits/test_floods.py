"""Floods from one address: they are refused at the door, and an honest client elsewhere gets every event."""

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
#: Connections that are all begun before one of them is looked at, and how often: what a second brings of a flood of
#: 2,000 a second, at once. How long a machine takes for them is its own business.
AT_ONCE, WAVES = 2000, 3
#: New connections that an address may have in a minute.
ALLOWED = 60


class Flood:
    """Begins very many connections at the same time, and keeps what each of them was answered."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.begun = 0
        self.answers: list[bytes] = []
        self.seconds = 0.0
        #: Of them, those in which connections were begun.
        self.beginning = 0.0

    def run(self) -> None:
        began = time.monotonic()
        for _ in range(WAVES):
            self.send_wave()
        self.seconds = time.monotonic() - began

    def send_wave(self) -> None:
        with selectors.DefaultSelector() as selector:
            began = time.monotonic()
            for _ in range(AT_ONCE):
                selector.register(self.begin(), selectors.EVENT_WRITE, bytearray())
            self.beginning += time.monotonic() - began
            end = time.monotonic() + PATIENCE
            while selector.get_map() and time.monotonic() < end:
                for key, _ in selector.select(1.0):
                    self.go_on(selector, key)
            for key in list(selector.get_map().values()):
                self.finish(selector, key)

    def begin(self) -> socket.socket:
        line = socket.socket()
        line.setblocking(False)
        line.bind((ATTACKER, 0))
        assert line.connect_ex(self.address) in (0, errno.EINPROGRESS)
        self.begun += 1
        return line

    def go_on(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        """Ask for a websocket once the connection stands, then take the answer."""
        line = cast("socket.socket", key.fileobj)
        try:
            if key.events == selectors.EVENT_WRITE:
                line.send(UPGRADE)
                selector.modify(line, selectors.EVENT_READ, key.data)
                return
            told = line.recv(4096)
        except OSError:
            told = b""
        key.data.extend(told)
        if not told or b"\r\n\r\n" in key.data:
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
    """Begin a frame of ten megabytes and send it until the server has had enough."""
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
            # Somebody honest comes in the middle of it all.
            late = ResumingRecorder(web.url).connect()
            head = late.follow(author.instance_id)["head"]
            for thread in threads:
                thread.join()
        client.wait_for_log(author.instance_id, author.head)
        assert client.log(author.instance_id) == author.told
        assert late.wait_for_log(author.instance_id, author.head) == author.told[head:]
        late.disconnect()
        for line in large:
            line.close()
    # For whoever wants to know how strong it was on this machine (`pytest -rP`).
    begun, answered = (round(flood.begun / seconds) for seconds in (flood.beginning, flood.seconds))
    sys.stdout.write(f"{begun} connections a second begun, {answered} a second answered\n")
    # Every one was begun, and every one answered: let in, or refused with the reason and when to come back.
    assert flood.begun == len(flood.answers) == AT_ONCE * WAVES
    assert Counter(map(read_answer, flood.answers)).keys() == {"101", "429"}
    # What came back in the time that it took, and not more.
    let_in = sum(read_answer(answer) == "101" for answer in flood.answers)
    assert let_in <= ALLOWED + math.ceil(flood.seconds * ALLOWED / 60)
    assert "Traceback" not in web.log_text()


def read_answer(answer: bytes) -> str:
    """The status of an answer; a refusal says after how many whole seconds to come back."""
    status = answer[9:12].decode()
    if status == "429":
        told = re.search(rb"^Retry-After: (\d+)\r$", answer, re.MULTILINE)
        assert told is not None
        assert 1 <= int(told[1]) <= 60
    return status
