"""A fake connection for the Python client, with which a test acts as the server."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from swallowtail.client.errors import ConnectionFailed
from swallowtail.client.log_position import Payload
from swallowtail.client.socket_connection import Receive, Refused
from tests.harness.waiting import PATIENCE, wait_until


class FakeConnection:
    """One connection. `sent` is what the client emitted, `say` is what the server sends."""

    def __init__(self, server: FakeServer, receive: Receive) -> None:
        self._server = server
        self._receive = receive
        self._end: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.sent: list[tuple[str, Payload]] = []
        self._answers: list[Callable[..., None] | None] = []

    def open(self, url: str, auth: Payload | None, timeout: float) -> None:
        """See ServerConnection."""
        fault = self._server.faults.pop(0) if self._server.faults else None
        if fault is not None:
            raise fault
        self._server.connections.append(self)
        self.say("connect", {})
        self.say("connected", {"message": "Connected"})

    def emit(self, name: str, payload: Payload, answer: Callable[..., None] | None = None) -> None:
        """See ServerConnection."""
        self.sent.append((name, payload))
        self._answers.append(answer)

    def wait(self) -> str:
        """See ServerConnection."""
        return self._end.get()

    def close(self) -> None:
        """See ServerConnection."""
        self.lose("client disconnect")

    def say(self, name: str, payload: Payload) -> None:
        """Send the client an event."""
        self._receive(name, payload)

    def lose(self, reason: str = "transport error") -> None:
        """Lose the connection."""
        self._end.put(reason)

    def wait_for_sent(self, count: int) -> Payload:
        """Wait until the client has emitted so many events; return the payload of the last of them."""
        wait_until(lambda: len(self.sent) >= count, f"the client emits {count} events", seen=lambda: self.sent)
        return self.sent[count - 1][1]

    def answer(self, place: int, answer: Payload) -> None:
        """Acknowledge the emitted event number `place`, from 1."""
        callback = self._answers[place - 1]
        assert callback is not None
        callback(answer)


class FakeServer:
    """Makes connections for `TaskWebSocketClient(make_connection=…)`; `faults` fail the next attempts to connect."""

    def __init__(self) -> None:
        self.connections: list[FakeConnection] = []
        self.faults: list[ConnectionFailed | Refused | None] = []

    def make_connection(self, receive: Receive) -> FakeConnection:
        """Begin a connection."""
        return FakeConnection(self, receive)

    def wait_for(self, count: int, timeout: float = PATIENCE) -> FakeConnection:
        """Wait for the client's connection number `count`."""
        wait_until(lambda: len(self.connections) >= count, f"the client connects {count} times", timeout=timeout)
        return self.connections[count - 1]


def event(seq: int, epoch: str = "a", **data: Any) -> Payload:
    """Return a numbered `task_update` of instance `i`, task `t`."""
    full = {"progress": 0, "message": "", "timestamp": "2026-01-01T00:00:00.000Z", **data}
    return {
        "instance_id": "i",
        "task_id": "t",
        "type": "task_update",
        "attempt": 1,
        "seq": seq,
        "epoch": epoch,
        "id": str(seq),
        "data": full,
    }
