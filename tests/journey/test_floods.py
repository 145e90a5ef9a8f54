"""Floods from one address: they are refused at the door, and an honest client elsewhere gets every event."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.harness.house import House
from tests.harness.recorder import ResumingRecorder
from tests.journey.author import Author, BusyAuthor

ATTACKER = "127.0.0.2"
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
#: Connections a second that are tried, for so many seconds.
RATE, SECONDS = 2000, 3.0


class Flood:
    """Connects as fast as it may, and counts the answers."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        began, tried = time.monotonic(), 0
        while (passed := time.monotonic() - began) < SECONDS:
            if tried > passed * RATE / 2:
                time.sleep(0.001)
                continue
            tried += 1
            self.answers[self.connect()] += 1

    def connect(self) -> str:
        try:
            with socket.create_connection(self.address, timeout=5, source_address=(ATTACKER, 0)) as line:
                line.sendall(UPGRADE)
                answer = line.recv(200)
        except OSError:
            return "none"
        if b"429" in answer:
            assert b"Retry-After: " in answer
        return answer[9:12].decode()


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


def test_an_honest_client_is_served_while_others_flood(new_house: Callable[..., House]) -> None:
    house = new_house(env={"limits": "on", "connect_limit": "60/minute"})
    web = house.start_web()
    where = urlsplit(web.url)
    assert where.hostname
    address = (where.hostname, where.port or 80)
    author = Author(house)
    floods = [Flood(address) for _ in range(2)]
    with ResumingRecorder(web.url) as client:
        client.follow(author.instance_id)
        large = [open_line(address) for _ in range(4)]
        threads = [threading.Thread(target=flood.run) for flood in floods]
        threads += [threading.Thread(target=send_ten_megabytes, args=(line,)) for line in large]
        with BusyAuthor(author):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # Somebody honest comes in the middle of it all.
            late = ResumingRecorder(web.url).connect()
            late.follow(author.instance_id)
        client.wait_for_log(author.instance_id, author.head)
        assert client.log(author.instance_id) == author.told
        late.wait_for_log(author.instance_id, author.head)
        late.disconnect()
        for line in large:
            line.close()
    answers = sum((flood.answers for flood in floods), Counter[str]())
    assert answers["429"] > answers["101"]
    # What came back in the time that it took, and not more.
    assert answers["101"] <= 60 + 60
    assert "Traceback" not in web.log_text()
