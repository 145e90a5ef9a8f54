"""A connection that is in no namespace is closed after a timeout."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.web.engineio.connect_timeout import ConnectTimeouts
from swallowtail.app.web.engineio.packets import make_packet_class
from swallowtail.app.web.engineio.sessions import Sessions
from tests.harness.settings import make_settings


class FakeConnection:
    def __init__(self) -> None:
        self.closed = False

    def close(self, **_: Any) -> None:
        self.closed = True


class FakeServer:
    """The part of python-socketio's server that the timeouts use; it is its own `eio`, `manager` and `reason`."""

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


def test_connections_that_join_no_namespace_are_closed(server: FakeServer, clock: list[float]) -> None:
    timeouts = ConnectTimeouts(Sessions(server), 10)
    for name in ("outside", "inside", "gone"):
        assert server.open(name, {}) == "answer"
    server.joined["inside"] = "sid"
    del server.connections["gone"]
    clock[0] += 5
    server.open("late", {})
    timeouts.close_due(clock[0] + 4)
    assert len(timeouts._deadlines) == 4
    timeouts.close_due(clock[0] + 6)
    assert {name: connection.closed for name, connection in server.connections.items()} == {
        "outside": True,
        "inside": False,
        "late": False,
    }
    assert len(timeouts._deadlines) == 1
    assert len(server.tasks) == 1


def test_a_client_that_leaves_the_namespace_gets_the_same_timeout(server: FakeServer, clock: list[float]) -> None:
    timeouts = ConnectTimeouts(Sessions(server), 10)
    server.open("a", {})
    server.joined["a"] = "sid"
    timeouts.close_due(clock[0] + 11)
    timeouts.namespace_left("sid")
    timeouts.namespace_left("unknown")
    del server.joined["a"]
    timeouts.close_due(clock[0] + 9)
    assert [connection.closed for connection in server.connections.values()] == [False]
    timeouts.close_due(clock[0] + 10)
    assert [connection.closed for connection in server.connections.values()] == [True]
    assert len(timeouts._deadlines) == 0


def test_an_unknown_namespace_is_refused_with_an_object() -> None:
    kind = make_packet_class(make_settings())
    assert kind(4, data="Unable to connect", namespace="/random").encode() == '4/random,{"message":"Invalid namespace"}'
    assert kind(4, data={"message": "no"}, namespace="/").encode() == '4{"message":"no"}'
    assert kind(2, data=["a", "b"]).encode() == '2["a","b"]'
