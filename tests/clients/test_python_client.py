"""The Python client with a fake connection: its requests, the events that it passes on, the faults it survives."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from swallowtail.client import ConnectionFailed, Payload, Refused, StepText, TaskWebSocketClient
from swallowtail.client.connection_keeper import ConnectionKeeper, Listener, Times
from tests.clients.fake_connection import FakeConnection, FakeServer, event
from tests.harness.waiting import wait_until


class Notes(TaskWebSocketClient):
    """Records the calls of its handlers, as `(what, detail)`."""

    def __init__(self, server: FakeServer, **options: Any) -> None:
        options = {"retry_after": 0.01, "retry_at_most": 0.02, **options}
        super().__init__("http://server", make_connection=server.make_connection, **options)
        self.calls: list[tuple[str, Any]] = []

    def handle_task_update(self, event: Payload) -> None:
        self.calls.append(("update", event.get("seq", event.get("rev"))))

    def handle_execution_step(self, event: Payload) -> None:
        self.calls.append(("step", event["seq"]))

    def handle_step_output(self, piece: Payload, stream: StepText) -> None:
        self.calls.append(("text", stream.text))

    def handle_snapshot(self, instance_id: str, snapshot: Payload) -> None:
        self.calls.append(("snapshot", snapshot["head"]))

    def handle_disconnected(self, reason: str) -> None:
        self.calls.append(("disconnected", reason))

    def handle_revoked(self, instance_id: str, reason: str) -> None:
        self.calls.append(("revoked", instance_id))

    def handle_error(self, error: Payload) -> None:
        self.calls.append(("error", error["message"]))

    def wait_for_calls(self, *expected: tuple[str, Any]) -> None:
        """Wait until the handlers received exactly these calls."""
        wait_until(
            lambda: len(self.calls) >= len(expected), f"the handlers receive {expected}", seen=lambda: self.calls
        )
        assert self.calls == list(expected)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def client(server: FakeServer) -> Iterator[Notes]:
    client = Notes(server)
    client.connect()
    yield client
    client.disconnect()


@pytest.fixture
def connection(client: Notes, server: FakeServer) -> FakeConnection:
    return server.wait_for(1)


def live(head: int, epoch: str = "a") -> Payload:
    return {"ok": True, "mode": "live", "epoch": epoch, "head": head, "min_seq": 0}


def replay(head: int) -> Payload:
    return {**live(head), "mode": "replay"}


def test_it_subscribes_and_hands_on_events_in_order(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i")
    assert connection.wait_for_sent(1) == {"instance_id": "i"}
    connection.answer(1, live(4))
    for seq in (5, 6, 6, 7):
        connection.say("task_update", event(seq))
    client.wait_for("i", 7)
    assert client.calls == [("update", 5), ("update", 6), ("update", 7)]
    assert client.position("i") == {"epoch": "a", "seq": 7}


def test_events_of_instances_that_it_does_not_watch_are_dropped(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("other")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("task_update", event(5))
    connection.say("task_update", {**event(5), "instance_id": "other"})
    client.wait_for_calls(("update", 5))


def test_a_gap_is_asked_for_with_since(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("task_update", event(5))
    connection.say("task_update", event(8))
    assert connection.wait_for_sent(2) == {"instance_id": "i", "since": {"epoch": "a", "seq": 5}}
    connection.answer(2, replay(8))
    for seq in (6, 7, 8):
        connection.say("task_update", event(seq))
    client.wait_for("i", 8)
    assert client.calls == [("update", seq) for seq in (5, 6, 7, 8)]


def test_after_a_lost_connection_it_goes_on_where_it_was(
    client: Notes, connection: FakeConnection, server: FakeServer
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


def test_it_comes_back_when_a_restarting_server_says(
    client: Notes, connection: FakeConnection, server: FakeServer
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
    # An appointment is for once.
    again.lose()
    server.wait_for(3)


def test_clients_that_lose_their_connections_together_reconnect_at_different_times(server: FakeServer) -> None:
    times, ignore = Times(answer_within=10.0, retry_after=1.0, retry_at_most=5.0), Listener(*[lambda *_: None] * 3)
    keeper = ConnectionKeeper(lambda: ("http://server", None), None, times, server.make_connection, ignore)
    pauses = sorted(keeper.choose_pause(1.0, was_open=True) for _ in range(1000))
    assert 0.0 <= pauses[0] < 1.0
    assert 9.0 < pauses[-1] <= 10.0


def test_it_keeps_trying_to_connect(server: FakeServer) -> None:
    server.faults = [ConnectionFailed("away"), ConnectionFailed("away"), None]
    client = Notes(server)
    client.connect()
    states = [client.state]
    client.disconnect()
    assert [*states, client.state] == ["live", "offline"]


def test_connecting_fails_when_there_is_no_server(server: FakeServer) -> None:
    server.faults = [ConnectionFailed("away")] * 10_000
    with pytest.raises(ConnectionFailed, match=r"no connection to http://server within 0\.1 s"):
        Notes(server).connect(timeout=0.1)


def test_a_refusal_is_not_tried_again(server: FakeServer) -> None:
    server.faults = [Refused("your token has expired")]
    client = Notes(server)
    with pytest.raises(Refused, match="your token has expired"):
        client.connect()
    assert server.connections == []
    assert client.calls == [("error", "your token has expired")]


def test_a_snapshot_comes_first_when_it_is_asked_for(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i", snapshot=True)
    assert connection.wait_for_sent(1) == {"instance_id": "i", "since": {"epoch": "", "seq": 0}}
    connection.say("task_update", event(5))
    connection.answer(1, {**live(4), "mode": "snapshot", "snapshot": {"head": 4, "tasks": []}})
    client.wait_for_calls(("snapshot", 4), ("update", 5))


def test_a_position_of_another_process_is_continued(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i", since={"epoch": "a", "seq": 2})
    assert connection.wait_for_sent(1) == {"instance_id": "i", "since": {"epoch": "a", "seq": 2}}


def test_it_is_live_once_it_has_caught_up(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i", since={"epoch": "a", "seq": 2})
    connection.wait_for_sent(1)
    assert client.state == "catching_up"
    connection.answer(1, replay(3))
    connection.say("task_update", event(3))
    client.wait_until_live()
    assert client.position("i") == {"epoch": "a", "seq": 3}


def test_a_head_tells_of_a_lost_tail(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("head", {"instance_id": "i", "epoch": "a", "seq": 4})
    connection.say("head", {"instance_id": "i", "epoch": "a", "seq": 5})
    assert connection.wait_for_sent(2) == {"instance_id": "i", "since": {"epoch": "a", "seq": 4}}
    assert len(connection.sent) == 2


@pytest.mark.parametrize("reason", ["epoch", "too_old", "lag"])
def test_a_reset_asks_again(reason: str, client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i", since={"epoch": "a", "seq": 2})
    connection.wait_for_sent(1)
    connection.answer(1, replay(2))
    connection.say("reset", {"instance_id": "i", "reason": reason})
    assert connection.wait_for_sent(2)["since"] == {"epoch": "a", "seq": 2}


def test_a_revoked_subscription_is_given_up(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("reset", {"instance_id": "i", "reason": "revoked"})
    connection.say("task_update", event(5))
    client.wait_for_calls(("revoked", "i"))
    assert client.position("i") is None


def test_a_refused_subscription_is_given_up(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.say("error", {"code": "not_found", "message": "there is no such instance"})
    connection.answer(1, {"ok": False, "error": {"code": "not_found", "message": "there is no such instance"}})
    client.wait_until_live()
    assert client.calls == [("error", "there is no such instance")]
    assert len(connection.sent) == 1


def test_a_passing_refusal_is_tried_again(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, {"ok": False, "error": {"code": "unavailable", "message": "", "retry_after_ms": 1}})
    connection.wait_for_sent(2)
    connection.answer(2, live(4))
    client.wait_until_live()


def test_a_server_of_section_1_works(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.say("subscribed", {"instance_id": "i"})
    client.wait_until_live()
    plain = {"instance_id": "i", "task_id": "t", "type": "task_update", "data": {"progress": 5, "message": ""}}
    connection.say("task_update", plain)
    connection.say("task_update", plain)
    client.wait_for_calls(("update", None), ("update", None))


def test_a_server_of_section_1_is_not_asked_twice(server: FakeServer) -> None:
    client = Notes(server, answer_within=0.05)
    client.connect()
    connection = server.wait_for(1)
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.say("subscribed", {"instance_id": "i"})
    client.subscribe("silent")
    # This one is confirmed by nothing, so it is asked for again and again; the other is not.
    connection.wait_for_sent(4)
    assert [payload["instance_id"] for _, payload in connection.sent[:4]] == ["i", "silent", "silent", "silent"]
    client.disconnect()


def test_unsubscribing_ends_the_events(client: Notes, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    client.unsubscribe("i")
    connection.wait_for_sent(2)
    assert connection.sent[1] == ("unsubscribe_instance", {"instance_id": "i"})
    connection.say("task_update", event(5))
    client.wait_until_live()
    assert client.calls == []


def test_streamed_text_is_joined(client: Notes, connection: FakeConnection) -> None:
    client.subscribe_task("t")
    connection.wait_for_sent(1)
    piece = {"instance_id": "i", "task_id": "t", "step_id": "s", "attempt": 1, "rev": 1, "offset": 0, "text": "Desk "}
    connection.say("step_output", piece)
    connection.say("step_output", {**piece, "rev": 2, "offset": 5, "text": "lamp"})
    connection.say("step_output", {**piece, "task_id": "another"})
    client.wait_for_calls(("text", "Desk "), ("text", "Desk lamp"))


def test_a_fault_in_a_handler_is_logged_and_costs_no_event(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(Notes):
        def handle_task_update(self, event: Payload) -> None:
            super().handle_task_update(event)
            raise LookupError("clumsy")

    client = Clumsy(server)
    client.connect()
    client.subscribe("i")
    connection = server.wait_for(1)
    connection.wait_for_sent(1)
    with caplog.at_level(logging.ERROR):
        connection.answer(1, live(4))
        connection.say("task_update", event(5))
        connection.say("task_update", event(6))
        client.wait_for("i", 6)
    client.disconnect()
    assert client.calls[:2] == [("update", 5), ("update", 6)]
    assert "handle_task_update failed" in caplog.text


def test_a_handler_may_disconnect_but_not_wait(server: FakeServer) -> None:
    class Leaver(Notes):
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


def test_it_can_connect_again_and_goes_on(client: Notes, connection: FakeConnection, server: FakeServer) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("task_update", event(5))
    client.wait_for("i", 5)
    client.disconnect()
    client.connect()
    assert server.wait_for(2).wait_for_sent(1) == {"instance_id": "i", "since": {"epoch": "a", "seq": 5}}
