"""A stock session's websocket is read frame by frame, and its incomplete and unsent messages are counted."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.engineio.stock_websocket import StockWebsocket
from swallowtail.app.web.websocket.budgets import MemoryBudgets
from swallowtail.app.web.websocket.frames import (
    INVALID_TEXT,
    PING,
    POLICY_VIOLATION,
    PONG,
    PROTOCOL_ERROR,
    TOO_BIG,
    TRY_AGAIN_LATER,
    pack,
    pack_close,
)
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

FINAL, TEXT = 0x80, 0x1


def frame(payload: bytes, first: int = FINAL | TEXT) -> bytes:
    """A client's frame, whose mask changes nothing."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    return bytes((first,)) + length + bytes(4) + payload


class FakeSession:
    """A session that has joined no namespace."""

    def __init__(self) -> None:
        self.max_message = 1024
        self.upgraded = True

    def receiving_started(self) -> None:
        return


class Pair:
    """A client's socket and the server's websocket."""

    def __init__(self, settings: Settings, budgets: MemoryBudgets) -> None:
        self.client, self.server = socket.socketpair()
        self.client.settimeout(10)
        self.session = FakeSession()
        self.ws = StockWebsocket(self.server, self.session, settings, budgets, 30)

    def send(self, *frames: bytes) -> None:
        self.client.sendall(b"".join(frames))

    def read_all(self) -> bytes:
        """Return everything until the end."""
        return b"".join(iter(lambda: self.client.recv(65_536), b""))


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[Any]:
    pairs: list[Pair] = []
    budgets: list[MemoryBudgets] = []

    def make(**options: Any) -> Pair:
        settings = make_settings(var_dir=tmp_path, **options)
        budgets.append(budgets[0] if budgets else MemoryBudgets(settings))
        pairs.append(Pair(settings, budgets[0]))
        pairs[-1].budgets = budgets[0]  # type: ignore[attr-defined]
        return pairs[-1]

    yield make
    for one in pairs:
        one.client.close()
        one.server.close()


def test_messages_arrive_whole_or_in_fragments_with_control_frames_between(pairs: Any) -> None:
    s = pairs()
    s.send(frame(b"2"), frame(b"4a", TEXT), frame(b"hi", FINAL | PING), frame(b"b", FINAL), frame(b"\0", FINAL | 2))
    assert [s.ws.wait() for _ in range(3)] == ["2", "4ab", b"\0"]
    s.ws.close()
    assert (s.ws.wait(), s.read_all()) == (None, pack(b"hi", PONG) + pack_close(1001))


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(b"4a", TEXT), frame(b"", 0)], POLICY_VIOLATION),
        ([frame(b"", TEXT)], POLICY_VIOLATION),
        ([frame(b"4" * 1025)], TOO_BIG),
        ([frame(b"4" * 600, TEXT), frame(b"4" * 600, 0)], TOO_BIG),
        ([frame(b"\xff")], INVALID_TEXT),
        ([frame(b"4", 0)], PROTOCOL_ERROR),
        ([b"GET / HTTP/1.1\r\n\r\n"], PROTOCOL_ERROR),
    ],
)
def test_an_empty_oversized_or_invalid_frame_closes_the_websocket(pairs: Any, frames: list[bytes], code: int) -> None:
    s = pairs()
    s.send(*frames)
    assert (s.ws.wait(), s.read_all()) == (None, pack_close(code))


def test_every_frame_counts_against_the_rate(pairs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s = pairs(client_rate=5)
    pauses: list[float] = []
    clock = itertools.repeat(100.25)
    monkeypatch.setattr("swallowtail.app.web.engineio.stock_websocket.time.sleep", pauses.append)
    monkeypatch.setattr("swallowtail.app.web.engineio.stock_websocket.time.monotonic", lambda: next(clock))
    s.send(frame(b"4", TEXT), *[frame(b"a", 0)] * 6, *[frame(b"", FINAL | PING)] * 4, frame(b"b", FINAL))
    assert s.ws.wait() == "4aaaaaab"
    assert pauses == [0.75] * 7


def test_incomplete_messages_share_one_budget(pairs: Any) -> None:
    small, large = pairs(partial_bytes=65_536), pairs()
    for s, size in ((small, 20_000), (large, 50_000)):
        s.session.max_message = 10**6
        s.send(frame(b"4" * size, TEXT))
        threading.Thread(target=s.ws.wait, daemon=True).start()
    assert large.read_all() == pack_close(TRY_AGAIN_LATER)
    wait_until(lambda: small.budgets.incoming.used == 20_000, "only the smaller one remains")
    small.client.close()
    wait_until(lambda: small.budgets.incoming.used == 0, "it is removed with its connection")


def test_unsent_messages_count_and_the_slowest_client_is_closed(pairs: Any) -> None:
    slow, late = pairs(outbound_bytes=1_048_576), pairs()
    ended: list[str] = []

    def send(name: str, s: Pair, size: int) -> None:
        try:
            s.ws.send("4" * size)
        except OSError:
            ended.append(name)

    for name, s, size in (("slow", slow, 700_000), ("late", late, 600_000)):
        threading.Thread(target=send, args=(name, s, size), daemon=True).start()
        wait_until(lambda: slow.budgets.outgoing.used > 0, "the message waits")
    wait_until(lambda: ended == ["slow"], "the client that waited longest is closed")
    assert 600_000 < slow.budgets.outgoing.used < 700_000
    read = 0
    while read < 600_000:
        read += len(late.client.recv(65_536))
    wait_until(lambda: slow.budgets.outgoing.used == 0, "no message waits")


def test_a_client_that_does_not_confirm_the_upgrade_is_closed_after_the_time_of_a_request(pairs: Any) -> None:
    s = pairs(request_seconds=0.2)
    s.session.upgraded = False
    s.send(frame(b"", FINAL | PING))
    assert s.ws.wait() is None


#: Code that wraps the operating system's socket in a library's.
WRAPPED = {
    "threads": "sock = ours",
    "eventlet": "from eventlet.greenio import GreenSocket; sock = GreenSocket(ours)",
    "gevent": "from gevent.socket import socket as green; sock = green(ours.family, ours.type, fileno=ours.detach())",
}
#: One program per library: a process patches for one of them.
PROGRAM = """
import _socket, socket
from swallowtail.app.web.engineio.stock_websocket import system_socket
ours, theirs = socket.socketpair()
{wrapped}
inner = system_socket(sock)
assert isinstance(inner, _socket.socket), inner
assert inner.fileno() == sock.fileno()
inner.setblocking(True)
try:
    while True:
        inner.send(bytes(65_536), socket.MSG_DONTWAIT)
except BlockingIOError:
    print("would block")
"""


@pytest.mark.long
@pytest.mark.parametrize("library", WRAPPED)
def test_the_system_socket_of_every_library_never_blocks(library: str) -> None:
    program = PROGRAM.format(wrapped=WRAPPED[library])
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "would block\n", done.stderr
