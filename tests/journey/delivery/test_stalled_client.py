"""A stalled client has a constant cost, and the other clients miss no event."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from swallowtail.app.core.events import TASK_UPDATE
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.tables.tasks import Task
from tests.conformance.line import Line, Peer, Surprise
from tests.harness.deployment import Deployment
from tests.harness.program import ROOT
from tests.journey.authenticated_deployment import GUARDED, Tenants
from tests.journey.event_writer import Author

pytestmark = pytest.mark.journey

STALLED, READING = 120, 5
#: Events of one transaction, and bytes of each.
BATCH, SIZE = 50, 1000
#: Bytes beyond its socket's buffers that a stalled client may cost, and may cost more for every thousand events, which
#: are a megabyte.
MOST, MORE = 64 * 1024, 4 * 1024
#: Writes at SIGUSR2 how many bytes a process has allocated. The system's count of its pages has what is free among them
#: too, which varies by ten megabytes.
COUNTER = """
import ctypes, gc, os, signal

PATH = %r

class Numbers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Numbers

def write_allocated(*_):
    gc.collect()
    numbers = mallinfo()
    with open(PATH + ".draft", "w") as file:
        file.write(str(numbers.uordblks + numbers.hblkhd))
    os.replace(PATH + ".draft", PATH)

signal.signal(signal.SIGUSR2, write_allocated)
"""
#: Every allocation is one of the C library, which keeps none for later as if it were in use.
COUNTED = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


class Scene:
    """A web process, and a task whose events are written by the batch."""

    def __init__(self, deployment: Deployment) -> None:
        self.allocated = deployment.root / "allocated"
        (deployment.root / "sitecustomize.py").write_text(COUNTER % str(self.allocated))
        self.web = deployment.start_web(env={**COUNTED, "PYTHONPATH": f"{deployment.root}:{ROOT}"})
        self.author = Author(deployment)
        self.task_id = self.author.submit()
        self.written = 0

    def peer(self, *, small: bool = False, token: str | None = None) -> Peer:
        """A way to connect; with `small`, by sockets that are full soon."""
        little: dict[str, Any] = {"receive_buffer": 4096, "segment": 536} if small else {}
        auth = None if token is None else {"token": token}
        return Peer("ours", self.web.url, instance_id=self.author.instance_id, auth=auth, **little)

    def write(self, events: int) -> None:
        for _ in range(events // BATCH):
            self.author.rt.commit(self._record)

    def _record(self, change: Change) -> None:
        task = change.session.get_one(Task, self.task_id)
        for _ in range(BATCH):
            self.written += 1
            change.record(task, TASK_UPDATE, {"message": "x" * SIZE}, fact=f"event {self.written}")

    def memory(self) -> int:
        """Bytes that the web process has allocated; the buffers of sockets are not among them."""
        self.web.signal(signal.SIGUSR2)
        self.web.wait_for(self.allocated.exists, "it has written the number")
        number = int(self.allocated.read_text())
        self.allocated.unlink()
        return number


class Reader(threading.Thread):
    """A client that takes everything; `seqs` are the numbers that it got."""

    def __init__(self, line: Line) -> None:
        super().__init__(daemon=True)
        self.line = line
        self.seqs: list[int] = []
        self.grown = threading.Condition()
        self.is_over = False

    def run(self) -> None:
        while True:
            try:
                packet = self.line.take(pings=True)
            except Surprise:
                with self.grown:
                    self.is_over = True
                    self.grown.notify()
                return
            if packet == "2":
                self.line.send("3")
            elif (
                isinstance(packet, str) and packet.startswith("42[") and "id" in (received := json.loads(packet[2:])[1])
            ):
                with self.grown:
                    self.seqs.append(received["seq"])
                    self.grown.notify()

    def wait_for(self, seq: int) -> None:
        with self.grown:
            assert self.grown.wait_for(lambda: self.has(seq), timeout=120)

    def has(self, seq: int) -> bool:
        return bool(self.seqs) and self.seqs[-1] >= seq

    def wait_for_end(self, seq: int) -> None:
        """Wait until it has this event, or its connection is closed."""
        with self.grown:
            assert self.grown.wait_for(lambda: self.has(seq) or self.is_over, timeout=120)


def subscribe(lines: ExitStack, peer: Peer, since: dict[str, Any] | None = None) -> tuple[Line, int]:
    """A new client, and the number of the last event before its first unless it said `since`."""
    line = lines.enter_context(peer.connected())
    subscription = {"instance_id": peer.instance_id, **({} if since is None else {"since": since})}
    line.send("420" + json.dumps(["subscribe_instance", subscription]))
    answer: dict[str, Any] = line.take_ack(0)[0]
    return line, answer["head"]


#: A small event buffer: its memory belongs to the instance, not to a client.
SMALL_BUFFER = {"ring_events": 100}


@pytest.mark.long
def test_memory_of_a_stalled_client_is_bounded_and_the_others_get_everything(
    new_deployment: Callable[..., Deployment],
) -> None:
    scene = Scene(new_deployment(env=SMALL_BUFFER))
    stall(scene, scene.peer(), scene.peer(small=True), scene.peer())


@pytest.mark.long
def test_the_same_holds_for_clients_that_are_shown_one_task_and_some_fields(
    new_deployment: Callable[..., Deployment],
) -> None:
    scene = Scene(new_deployment(env={**SMALL_BUFFER, **GUARDED, "limits": "off"}))
    tenants = Tenants(scene.author.deployment)
    viewer = tenants.add("vera", "viewer", scene.author.instance_id)
    page = tenants.page(scene.author.instance_id, task_id=scene.task_id, fields=["message"])
    stall(scene, scene.peer(token=viewer), scene.peer(small=True, token=page), scene.peer(token=page))


def stall(scene: Scene, plain: Peer, small: Peer, again: Peer) -> None:
    """Have many clients stall, and a few read all the while; those who stalled have everything in the end."""
    with ExitStack() as lines:
        began = [subscribe(lines, plain) for _ in range(READING)]
        readers = [Reader(line) for line, _ in began]
        for reader in readers:
            reader.start()

        def write(events: int) -> int:
            scene.write(events)
            for reader in readers:
                reader.wait_for(scene.author.head)
            return scene.memory()

        before = write(1000)
        stalled = [subscribe(lines, small) for _ in range(STALLED)]
        first, last = write(1000), write(5000)

        assert (first - before) / STALLED < MOST
        assert (last - before) / STALLED < MOST
        assert (last - first) / STALLED < 5 * MORE
        for reader, (_, head) in zip(readers, began, strict=True):
            assert reader.seqs == list(range(head + 1, scene.author.head + 1))
        for line, head in stalled[:READING]:
            assert catch_up(lines, scene, line, head, again) == list(range(head + 1, scene.author.head + 1))


def catch_up(lines: ExitStack, scene: Scene, line: Line, head: int, again: Peer) -> list[int]:
    """What a client gets that reads at last; if it was given up for its silence, it comes back as clients do."""
    first = Reader(line)
    first.start()
    first.wait_for_end(scene.author.head)
    if first.has(scene.author.head):
        return first.seqs
    place = first.seqs[-1] if first.seqs else head
    second = Reader(subscribe(lines, again, {"epoch": scene.author.epoch, "seq": place})[0])
    second.start()
    second.wait_for(scene.author.head)
    return first.seqs + second.seqs
