"""A connection that is connected to no namespace has its time and no more."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.web.engineio.connect_timeout import Deadline
from swallowtail.app.web.engineio.packets import make_packet_class
from tests.harness.settings import make_settings


class FakeConnection:
    def __init__(self) -> None:
        self.closed = False

    def close(self, **_: Any) -> None:
        self.closed = True


class FakeServer:
    """As much of python-socketio's server as a deadline touches; it is its own `eio`, `manager` and `reason`."""

    SERVER_DISCONNECT = "server disconnect"

    def __init__(self) -> None:
        self.eio = self.manager = self.reason = self
        self.connections: dict[str, FakeConnection] = {}
        self.joined: dict[str, str] = {}
        self.tasks: list[Any] = []

    def on(self, event: str, handler: Any) -> None:
        assert event == "connect"
        self.open = handler

    def start_background_task(self, task: Any) -> None:
        self.tasks.append(task)

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> str:
        self.connections[eio_sid] = FakeConnection()
        return "answer"

    def _get_socket(self, eio_sid: str) -> FakeConnection:
        return self.connections[eio_sid]

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        return self.joined.get(eio_sid)

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        return next((eio_sid for eio_sid, joined in self.joined.items() if joined == sid), None)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("swallowtail.app.web.engineio.connect_timeout.time.monotonic", lambda: now[0])
    return now


def test_closes_those_who_stay_outside(server: FakeServer, clock: list[float]) -> None:
    deadline = Deadline(server, 10)
    for name in ("outside", "inside", "gone"):
        assert server.open(name, {}) == "answer"
    server.joined["inside"] = "sid"
    del server.connections["gone"]
    clock[0] += 5
    server.open("late", {})
    deadline.look(clock[0] + 4)
    assert len(deadline) == 4
    deadline.look(clock[0] + 6)
    assert {name: found.closed for name, found in server.connections.items()} == {
        "outside": True,
        "inside": False,
        "late": False,
    }
    assert len(deadline) == 1
    assert len(server.tasks) == 1


def test_who_leaves_the_namespace_has_the_same_time(server: FakeServer, clock: list[float]) -> None:
    deadline = Deadline(server, 10)
    server.open("a", {})
    server.joined["a"] = "sid"
    deadline.look(clock[0] + 11)
    deadline.left("sid")
    deadline.left("nobody")
    del server.joined["a"]
    deadline.look(clock[0] + 9)
    assert [found.closed for found in server.connections.values()] == [False]
    deadline.look(clock[0] + 10)
    assert [found.closed for found in server.connections.values()] == [True]
    assert len(deadline) == 0


def test_an_unknown_namespace_is_refused_with_an_object() -> None:
    kind = make_packet_class(make_settings())
    assert kind(4, data="Unable to connect", namespace="/random").encode() == '4/random,{"message":"Invalid namespace"}'
    assert kind(4, data={"message": "no"}, namespace="/").encode() == '4{"message":"no"}'
    assert kind(2, data=["a", "b"]).encode() == '2["a","b"]'
