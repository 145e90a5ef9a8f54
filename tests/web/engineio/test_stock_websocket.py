"""A websocket of the library's sessions is heard frame by frame, and what it keeps and sends is counted."""

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
from swallowtail.app.web.engineio.stock_websocket import StockSocket
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


class Hearer:
    """A session that has joined nothing yet."""

    def __init__(self) -> None:
        self.longest = 1024
        self.upgraded = True

    def heard(self) -> None:
        return


class Scene:
    def __init__(self, settings: Settings, budgets: MemoryBudgets) -> None:
        self.client, self.server = socket.socketpair()
        self.client.settimeout(10)
        self.hearer = Hearer()
        self.ws = StockSocket(self.server, self.hearer, settings, budgets, 30)

    def say(self, *frames: bytes) -> None:
        self.client.sendall(b"".join(frames))

    def told(self) -> bytes:
        """Everything until the end."""
        return b"".join(iter(lambda: self.client.recv(65_536), b""))


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[Any]:
    made: list[Scene] = []
    budgets: list[MemoryBudgets] = []

    def make(**given: Any) -> Scene:
        settings = make_settings(var_dir=tmp_path, **given)
        budgets.append(budgets[0] if budgets else MemoryBudgets(settings))
        made.append(Scene(settings, budgets[0]))
        made[-1].budgets = budgets[0]  # type: ignore[attr-defined]
        return made[-1]

    yield make
    for one in made:
        one.client.close()
        one.server.close()


def test_messages_come_whole_or_in_pieces_with_control_frames_between(scenes: Any) -> None:
    s = scenes()
    s.say(frame(b"2"), frame(b"4a", TEXT), frame(b"hi", FINAL | PING), frame(b"b", FINAL), frame(b"\0", FINAL | 2))
    assert [s.ws.wait() for _ in range(3)] == ["2", "4ab", b"\0"]
    s.ws.close()
    assert (s.ws.wait(), s.told()) == (None, pack(b"hi", PONG) + pack_close(1001))


@pytest.mark.parametrize(
    ("said", "code"),
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
def test_what_is_empty_too_large_or_no_frame_ends_it(scenes: Any, said: list[bytes], code: int) -> None:
    s = scenes()
    s.say(*said)
    assert (s.ws.wait(), s.told()) == (None, pack_close(code))


def test_every_frame_counts_against_what_is_heard_in_a_second(scenes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s = scenes(client_rate=5)
    rests: list[float] = []
    clock = itertools.repeat(100.25)
    monkeypatch.setattr("swallowtail.app.web.engineio.stock_websocket.time.sleep", rests.append)
    monkeypatch.setattr("swallowtail.app.web.engineio.stock_websocket.time.monotonic", lambda: next(clock))
    s.say(frame(b"4", TEXT), *[frame(b"a", 0)] * 6, *[frame(b"", FINAL | PING)] * 4, frame(b"b", FINAL))
    assert s.ws.wait() == "4aaaaaab"
    assert rests == [0.75] * 7


def test_what_is_kept_of_messages_in_pieces_has_one_budget(scenes: Any) -> None:
    small, large = scenes(partial_bytes=65_536), scenes()
    for s, size in ((small, 20_000), (large, 50_000)):
        s.hearer.longest = 10**6
        s.say(frame(b"4" * size, TEXT))
        threading.Thread(target=s.ws.wait, daemon=True).start()
    assert large.told() == pack_close(TRY_AGAIN_LATER)
    wait_until(lambda: small.budgets.incoming.used == 20_000, "only the smaller is kept")
    small.client.close()
    wait_until(lambda: small.budgets.incoming.used == 0, "it is forgotten with its connection")


def test_what_a_slow_client_does_not_take_counts_and_ends_the_slowest(scenes: Any) -> None:
    slow, late = scenes(outbound_bytes=1_048_576), scenes()
    ended: list[str] = []

    def send(name: str, s: Scene, size: int) -> None:
        try:
            s.ws.send("4" * size)
        except OSError:
            ended.append(name)

    for name, s, size in (("slow", slow, 700_000), ("late", late, 600_000)):
        threading.Thread(target=send, args=(name, s, size), daemon=True).start()
        wait_until(lambda: slow.budgets.outgoing.used > 0, "it waits")
    wait_until(lambda: ended == ["slow"], "the one that waited longest goes")
    assert 600_000 < slow.budgets.outgoing.used < 700_000
    read = 0
    while read < 600_000:
        read += len(late.client.recv(65_536))
    wait_until(lambda: slow.budgets.outgoing.used == 0, "nothing waits")


def test_a_client_that_does_not_show_what_it_is_has_no_more_time_than_a_request(scenes: Any) -> None:
    s = scenes(request_seconds=0.2)
    s.hearer.upgraded = False
    s.say(frame(b"", FINAL | PING))
    assert s.ws.wait() is None


#: What makes a library's socket of the system's.
WRAPPED = {
    "threads": "line = ours",
    "eventlet": "from eventlet.greenio import GreenSocket; line = GreenSocket(ours)",
    "gevent": "from gevent.socket import socket as green; line = green(ours.family, ours.type, fileno=ours.detach())",
}
#: A program of its own for each library: only a server's process has one of them.
BARE = """
import _socket, socket
from swallowtail.app.web.engineio.stock_websocket import bare
ours, theirs = socket.socketpair()
{wrapped}
found = bare(line)
assert isinstance(found, _socket.socket), found
assert found.fileno() == line.fileno()
found.setblocking(True)
try:
    while True:
        found.send(bytes(65_536), socket.MSG_DONTWAIT)
except BlockingIOError:
    print("waits for nobody")
"""


@pytest.mark.long
@pytest.mark.parametrize("library", WRAPPED)
def test_the_bare_socket_of_every_library_never_waits(library: str) -> None:
    program = BARE.format(wrapped=WRAPPED[library])
    told = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert told.stdout == "waits for nobody\n", told.stderr
