"""The Python client with a fake connection: how it connects, reconnects, stops, and continues."""

from __future__ import annotations

import time

import pytest

from swallowtail.client import ConnectionFailed, Payload, Refused
from swallowtail.client.connection_keeper import ConnectionKeeper, Listener, Timeouts
from tests.clients.fake_connection import FakeConnection, FakeServer, event
from tests.clients.recording_client import RecordingClient, live, replay


def test_after_a_lost_connection_it_continues_where_it_was(
    client: RecordingClient, connection: FakeConnection, server: FakeServer
) -> None:
    client.subscribe("i")
    client.subscribe_task("t")
    connection.wait_for_sent(2)
    connection.answer(1, live(4))
    connection.say("task_update", event(5))
    client.wait_for("i", 5)
    connection.lose()
    second = server.wait_for(2)
    second.wait_for_sent(2)
    assert second.sent == [
        ("subscribe_task", {"task_id": "t"}),
        ("subscribe_instance", {"instance_id": "i", "since": {"epoch": "a", "seq": 5}}),
    ]
    # What the lost connection still brings is not listened to.
    connection.say("task_update", event(6))
    second.answer(2, replay(6))
    second.say("task_update", event(6))
    client.wait_for("i", 6)
    assert client.calls == [("update", 5), ("disconnected", "transport error"), ("update", 6)]


def test_a_client_reconnects_at_the_time_that_a_restarting_server_names(
    client: RecordingClient, connection: FakeConnection, server: FakeServer
) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("task_update", event(5))
    began = time.monotonic()
    connection.say("restarting", {"retry_after_ms": 400})
    connection.lose()
    again = server.wait_for(2)
    assert time.monotonic() - began >= 0.4
    assert again.wait_for_sent(1)["since"] == {"epoch": "a", "seq": 5}
    # The delay applies only once.
    again.lose()
    server.wait_for(3)


def test_clients_that_lose_their_connections_together_reconnect_at_different_times(server: FakeServer) -> None:
    times, ignore = Timeouts(answer_within=10.0, retry_after=1.0, retry_at_most=5.0), Listener(*[lambda *_: None] * 3)
    keeper = ConnectionKeeper(lambda: ("http://server", None), None, times, server.make_connection, ignore)
    pauses = sorted(keeper.choose_pause(1.0, was_open=True) for _ in range(1000))
    assert 0.0 <= pauses[0] < 1.0
    assert 9.0 < pauses[-1] <= 10.0


def test_it_keeps_trying_to_connect(server: FakeServer) -> None:
    server.faults = [ConnectionFailed("away"), ConnectionFailed("away"), None]
    client = RecordingClient(server)
    client.connect()
    states = [client.state]
    client.disconnect()
    assert [*states, client.state] == ["live", "offline"]


def test_connecting_fails_when_there_is_no_server(server: FakeServer) -> None:
    server.faults = [ConnectionFailed("away")] * 10_000
    with pytest.raises(ConnectionFailed, match=r"no connection to http://server within 0\.1 s"):
        RecordingClient(server).connect(timeout=0.1)


def test_a_refusal_is_not_tried_again(server: FakeServer) -> None:
    server.faults = [Refused("your token has expired")]
    client = RecordingClient(server)
    with pytest.raises(Refused, match="your token has expired"):
        client.connect()
    assert server.connections == []
    assert client.calls == [("error", "your token has expired")]


def test_it_can_connect_again_and_continues(
    client: RecordingClient, connection: FakeConnection, server: FakeServer
) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("task_update", event(5))
    client.wait_for("i", 5)
    client.disconnect()
    client.connect()
    assert server.wait_for(2).wait_for_sent(1) == {"instance_id": "i", "since": {"epoch": "a", "seq": 5}}


def test_a_handler_may_disconnect_but_not_wait(server: FakeServer) -> None:
    class Leaver(RecordingClient):
        def handle_task_update(self, event: Payload) -> None:
            try:
                self.wait_for("i", 99)
            except RuntimeError as fault:
                self.calls.append(("fault", str(fault)))
            self.disconnect()

    client = Leaver(server)
    client.connect()
    client.subscribe("i")
    connection = server.wait_for(1)
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("task_update", event(5))
    client.wait_for_calls(
        ("fault", "a handler cannot wait for what only comes after it"), ("disconnected", "client disconnect")
    )
