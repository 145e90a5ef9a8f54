"""The Python client with a fake connection: its requests, the events that it passes on, and faults of handlers."""

from __future__ import annotations

import logging
import time

import pytest

from swallowtail.client import Payload
from tests.clients.fake_connection import FakeConnection, FakeServer, event
from tests.clients.recording_client import RecordingClient, live, replay


def test_it_subscribes_and_passes_events_on_in_order(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i")
    assert connection.wait_for_sent(1) == {"instance_id": "i"}
    connection.answer(1, live(4))
    for seq in (5, 6, 6, 7):
        connection.say("task_update", event(seq))
    client.wait_for("i", 7)
    assert client.calls == [("update", 5), ("update", 6), ("update", 7)]
    assert client.position("i") == {"epoch": "a", "seq": 7}


def test_events_of_instances_without_a_subscription_are_dropped(
    client: RecordingClient, connection: FakeConnection
) -> None:
    client.subscribe("other")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("task_update", event(5))
    connection.say("task_update", {**event(5), "instance_id": "other"})
    client.wait_for_calls(("update", 5))


def test_a_gap_is_asked_for_with_since(client: RecordingClient, connection: FakeConnection) -> None:
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


def test_a_snapshot_comes_first_when_it_is_asked_for(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i", snapshot=True)
    assert connection.wait_for_sent(1) == {"instance_id": "i", "since": {"epoch": "", "seq": 0}}
    connection.say("task_update", event(5))
    connection.answer(1, {**live(4), "mode": "snapshot", "snapshot": {"head": 4, "tasks": []}})
    client.wait_for_calls(("snapshot", 4), ("update", 5))


def test_a_position_of_another_process_is_continued(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i", since={"epoch": "a", "seq": 2})
    assert connection.wait_for_sent(1) == {"instance_id": "i", "since": {"epoch": "a", "seq": 2}}


def test_it_is_live_once_it_has_caught_up(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i", since={"epoch": "a", "seq": 2})
    connection.wait_for_sent(1)
    assert client.state == "catching_up"
    connection.answer(1, replay(3))
    connection.say("task_update", event(3))
    client.wait_until_live()
    assert client.position("i") == {"epoch": "a", "seq": 3}


def test_a_head_shows_a_lost_tail(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("head", {"instance_id": "i", "epoch": "a", "seq": 4})
    connection.say("head", {"instance_id": "i", "epoch": "a", "seq": 5})
    assert connection.wait_for_sent(2) == {"instance_id": "i", "since": {"epoch": "a", "seq": 4}}
    assert len(connection.sent) == 2


@pytest.mark.parametrize("reason", ["epoch", "too_old", "lag"])
def test_a_reset_asks_again(reason: str, client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i", since={"epoch": "a", "seq": 2})
    connection.wait_for_sent(1)
    connection.answer(1, replay(2))
    connection.say("reset", {"instance_id": "i", "reason": reason})
    assert connection.wait_for_sent(2)["since"] == {"epoch": "a", "seq": 2}


def test_a_revoked_subscription_ends(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    connection.say("reset", {"instance_id": "i", "reason": "revoked"})
    connection.say("task_update", event(5))
    client.wait_for_calls(("revoked", "i"))
    assert client.position("i") is None


def test_a_refused_subscription_ends(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.say("error", {"code": "not_found", "message": "there is no such instance"})
    connection.answer(1, {"ok": False, "error": {"code": "not_found", "message": "there is no such instance"}})
    client.wait_until_live()
    assert client.calls == [("error", "there is no such instance")]
    assert len(connection.sent) == 1


def test_a_passing_refusal_is_tried_again(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, {"ok": False, "error": {"code": "unavailable", "message": "", "retry_after_ms": 1}})
    connection.wait_for_sent(2)
    connection.answer(2, live(4))
    client.wait_until_live()


def test_a_server_of_section_1_works(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.say("subscribed", {"instance_id": "i"})
    client.wait_until_live()
    plain = {"instance_id": "i", "task_id": "t", "type": "task_update", "data": {"progress": 5, "message": ""}}
    connection.say("task_update", plain)
    connection.say("task_update", plain)
    client.wait_for_calls(("update", None), ("update", None))


def test_a_server_of_section_1_is_not_asked_twice(server: FakeServer) -> None:
    client = RecordingClient(server, answer_within=0.05)
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


def test_unsubscribing_ends_the_events(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe("i")
    connection.wait_for_sent(1)
    connection.answer(1, live(4))
    client.unsubscribe("i")
    connection.wait_for_sent(2)
    assert connection.sent[1] == ("unsubscribe_instance", {"instance_id": "i"})
    connection.say("task_update", event(5))
    client.wait_until_live()
    assert client.calls == []


def test_a_snapshots_handler_may_unsubscribe_and_nothing_is_asked_for_again(server: FakeServer) -> None:
    """A subscription that its own handler had removed planned its next request, and subscribed again for ever."""

    class Leaving(RecordingClient):
        def handle_snapshot(self, instance_id: str, snapshot: Payload) -> None:
            self.unsubscribe(instance_id)

    client = Leaving(server)
    client.connect()
    connection = server.wait_for(1)
    client.subscribe("i", snapshot=True)
    connection.wait_for_sent(1)
    connection.say("task_update", event(7))
    connection.answer(1, {**live(4), "mode": "snapshot", "snapshot": {"head": 4, "tasks": []}})
    client.wait_until_live()
    time.sleep(0.05)
    client.disconnect()
    assert connection.sent[-1] == ("unsubscribe_instance", {"instance_id": "i"})


def test_streamed_text_is_joined(client: RecordingClient, connection: FakeConnection) -> None:
    client.subscribe_task("t")
    connection.wait_for_sent(1)
    piece = {"instance_id": "i", "task_id": "t", "step_id": "s", "attempt": 1, "rev": 1, "offset": 0, "text": "Desk "}
    connection.say("step_output", piece)
    connection.say("step_output", {**piece, "rev": 2, "offset": 5, "text": "lamp"})
    connection.say("step_output", {**piece, "task_id": "another"})
    client.wait_for_calls(("text", "Desk "), ("text", "Desk lamp"))


def test_a_fault_in_a_handler_is_logged_and_loses_no_event(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(RecordingClient):
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
