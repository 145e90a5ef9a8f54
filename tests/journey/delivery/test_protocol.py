"""The promised payloads, subscriptions with and without `since`, and live state."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from sqlalchemy import update

from swallowtail.app.core.tables.instances import Instance
from tests.harness.received_events import assert_contiguous, shape
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.journey.event_writer import Author
from tests.journey.web_process import author as author
from tests.journey.web_process import deployment as deployment
from tests.journey.web_process import url as url

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
#: Small limits, and a head twice a second.
LIMITS = {"head_interval": 0.5, "replay_limit": 30}


def test_a_client_of_section_1_receives_a_task(author: Author, url: str) -> None:
    with Recorder(url) as client:
        assert client.subscribe(author.instance_id) == {"instance_id": author.instance_id}
        task_id = author.submit()
        claim = author.claim(task_id)
        author.step(claim, "write", progress=60)
        author.rt.runs.complete(claim, {"done": True})
        client.wait_for_status(task_id, "COMPLETED")
        assert client.unsubscribe(author.instance_id) == {"instance_id": author.instance_id}
        assert [name for name, _ in client.messages if name != "head"] == [
            "connected",
            "subscribed",
            *["task_update"] * 3,
            *["execution_step"] * 2,
            *["task_update"] * 2,
            "unsubscribed",
        ]
        assert client.errors == []
    received = client.events()
    assert received == author.events
    assert_contiguous(received)
    assert shape(received) == [
        "SUBMITTED",
        "QUEUED",
        "IN_PROGRESS",
        "write in_progress",
        "write completed",
        "progress 60",
        "COMPLETED",
    ]
    check_shapes(received, author.instance_id, task_id)


def check_shapes(received: list[dict[str, Any]], instance_id: str, task_id: str) -> None:
    """Section 1, key by key and type by type."""
    for event in received:
        assert {"instance_id", "task_id", "type", "data", "seq", "epoch", "id", "attempt"} == set(event)
        assert (event["instance_id"], event["task_id"]) == (instance_id, task_id)
        data = event["data"]
        if event["type"] == "task_update":
            assert {"progress", "message", "timestamp"} <= set(data)
            assert isinstance(data["message"], str)
            assert STAMP.fullmatch(data["timestamp"])
            assert ("status" in data) == ("previous_status" in data)
        else:
            promised = {"step_id", "agent", "action", "status", "output", "started_at", "completed_at"}
            assert promised <= set(data)
            assert STAMP.fullmatch(data["started_at"])
        assert isinstance(data["progress"], float | int)
    start, end = (event["data"] for event in received if event["type"] == "execution_step")
    assert start["step_id"] == end["step_id"]
    assert (start["status"], start["output"], start["completed_at"]) == ("in_progress", None, None)
    assert (end["status"], end["output"]) == ("completed", {"text": "write äöü ☃"})
    assert STAMP.fullmatch(end["completed_at"])
    updates = [event for event in received if event["type"] == "task_update"]
    changes = [(e["data"]["previous_status"], e["data"]["status"]) for e in updates if "status" in e["data"]]
    assert changes == [
        (None, "SUBMITTED"),
        ("SUBMITTED", "QUEUED"),
        ("QUEUED", "IN_PROGRESS"),
        ("IN_PROGRESS", "COMPLETED"),
    ]
    progress = [event["data"]["progress"] for event in received]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0, 100)


def test_the_answer_to_a_subscription_has_the_head_of_the_log(author: Author, url: str) -> None:
    author.play()
    with Recorder(url) as client:
        answer = client.call("subscribe_instance", {"instance_id": author.instance_id})
        assert answer == {
            "ok": True,
            "instance_id": author.instance_id,
            "mode": "live",
            "epoch": author.epoch,
            "head": 8,
            "min_seq": 0,
        }
        author.play()
        client.wait_for_seq(author.instance_id, 16)
        assert [event["seq"] for event in client.events()] == list(range(9, 17))


def test_everything_since_a_number_comes_after_the_answer_and_in_order(author: Author, url: str) -> None:
    author.play()
    with Recorder(url) as client:
        since = {"epoch": author.epoch, "seq": 3}
        order: list[str] = []
        client._client.on("task_update", lambda event: order.append("event"))
        client._client.on("subscribed", lambda event: order.append("subscribed"))
        client.emit(
            "subscribe_instance",
            {"instance_id": author.instance_id, "since": since},
            lambda answer: order.append(answer["mode"]),
        )
        client.wait_until(lambda: len(order) >= 3, "everything has come")
        assert order == ["subscribed", "replay", "event"]
    with ResumingRecorder(url) as client:
        assert client.follow(author.instance_id, epoch=author.epoch, seq=0)["mode"] == "replay"
        assert client.wait_for_log(author.instance_id, 8) == author.events


def test_the_same_number_again_is_sent_again_and_no_number_changes_nothing(author: Author, url: str) -> None:
    author.play()
    instance = {"instance_id": author.instance_id}
    with Recorder(url) as client:
        client.call("subscribe_instance", {**instance, "since": {"epoch": author.epoch, "seq": 6}})
        client.wait_for_seq(author.instance_id, 8)
        client.call("subscribe_instance", {**instance, "since": {"epoch": author.epoch, "seq": 7}})
        client.wait_until(lambda: len(client.events()) == 3, "the last event comes again")
        assert client.call("subscribe_instance", instance)["mode"] == "live"
        author.play(0)
        client.wait_for_seq(author.instance_id, 12)
        assert [event["seq"] for event in client.events()] == [7, 8, 8, 9, 10, 11, 12]


@pytest.mark.parametrize(("epoch", "seq"), [("another", 3), ("", 0), (None, 9), (None, 2**63 - 1), (None, 1)], ids=str)
def test_a_position_that_cannot_be_continued_gets_a_snapshot(
    author: Author, url: str, epoch: str | None, seq: int
) -> None:
    task_id = author.play()
    with author.rt.db.write() as session:
        session.execute(update(Instance).where(Instance.id == author.instance_id).values(min_seq=2))
    with Recorder(url) as client:
        since = {"epoch": author.epoch if epoch is None else epoch, "seq": seq}
        answer = client.call("subscribe_instance", {"instance_id": author.instance_id, "since": since})
        assert (answer["mode"], answer["epoch"], answer["head"], answer["min_seq"]) == (
            "snapshot",
            author.epoch,
            8,
            2,
        )
        (task,) = answer["snapshot"]["tasks"]
        assert (task["id"], task["status"], task["progress"]) == (task_id, "COMPLETED", 100)
        assert [step["key"] for step in task["steps"]] == ["s1", "s2"]
        author.play(0)
        client.wait_for_seq(author.instance_id, 12)
        assert [event["seq"] for event in client.events()] == [9, 10, 11, 12]


def test_a_gap_longer_than_the_limit_gets_a_snapshot(author: Author, url: str) -> None:
    author.play(14)
    with Recorder(url) as client:
        for seq, mode in ((1, "snapshot"), (2, "replay")):
            since = {"epoch": author.epoch, "seq": seq}
            answer = client.call("subscribe_instance", {"instance_id": author.instance_id, "since": since})
            assert answer["mode"] == mode


def test_an_idle_room_receives_its_head(author: Author, url: str) -> None:
    author.play()
    with Recorder(url) as client:
        client.subscribe(author.instance_id)
        client.wait_until(lambda: client.count("head") >= 2, "the head is sent twice")
        assert client.payloads("head")[0] == {
            "instance_id": author.instance_id,
            "epoch": author.epoch,
            "seq": 8,
        }
        client.unsubscribe(author.instance_id)
        received = client.count("head")
        author.play()
        time.sleep(1.5)
        assert (client.count("head"), client.events()) == (received, [])


def test_another_epoch_resets_subscribed_clients(author: Author, url: str) -> None:
    author.play()
    with ResumingRecorder(url) as client:
        client.follow(author.instance_id)
        with author.rt.db.write() as session:
            session.execute(update(Instance).where(Instance.id == author.instance_id).values(epoch="another"))
        client.wait_until(lambda: client.count("reset") > 0, "a reset is sent")
        assert client.payloads("reset")[0] == {"instance_id": author.instance_id, "reason": "epoch"}
        client.wait_until(lambda: len(client.positions[author.instance_id].snapshots) > 0, "a snapshot is taken")
        author.play(0)
        assert [event["seq"] for event in client.wait_for_log(author.instance_id, 12)] == [9, 10, 11, 12]


def test_live_progress_comes_between_events_and_text_only_to_its_readers(author: Author, url: str) -> None:
    claim = author.claim(author.submit())
    with Recorder(url) as reader, Recorder(url) as other:
        for client in (reader, other):
            client.subscribe(author.instance_id)
        assert reader.call("subscribe_task", {"task_id": claim.task_id}) == {"ok": True, "task_id": claim.task_id}
        wrote = author.rt.runs.start_step(claim, "write", "Author", "write")
        reader.wait_for_seq(author.instance_id, wrote.seq)
        author.publish_live(claim, 30, rev=1, base_seq=wrote.seq)
        reader.wait_until(lambda: len(reader.live()) == 1, "live progress arrives")
        author.publish_text(claim.task_id, "write", "Hello ", offset=0, rev=2)
        author.publish_text(claim.task_id, "write", "wörld", offset=6, rev=3)
        reader.wait_until(lambda: reader.count("step_output") == 2, "the text arrives")
        author.rt.runs.finish_step(claim, "write", "Hello wörld", progress=50)
        author.publish_live(claim, 40, rev=4, base_seq=wrote.seq)
        author.rt.runs.complete(claim, None)
        for client in (reader, other):
            client.wait_for_status(claim.task_id, "COMPLETED")
    (state,) = other.live()
    assert set(state) == {"instance_id", "task_id", "type", "data", "epoch", "attempt", "rev"}
    assert (state["type"], state["data"]["progress"], state["rev"]) == ("task_update", 30, 1)
    pieces = reader.payloads("step_output")
    assert [(piece["offset"], piece["text"], piece["attempt"]) for piece in pieces] == [
        (0, "Hello ", 1),
        (6, "wörld", 1),
    ]
    assert set(pieces[0]) == {"instance_id", "task_id", "step_id", "attempt", "rev", "offset", "text"}
    assert other.count("step_output") == 0
    assert len(reader.live()) == len(other.live()) == 1


def test_a_reader_that_stops_reading_gets_no_more_text(author: Author, url: str) -> None:
    claim = author.claim(author.submit())
    with Recorder(url) as reader, Recorder(url) as other:
        for client in (reader, other):
            client.call("subscribe_task", {"task_id": claim.task_id})
        assert reader.call("unsubscribe_task", {"task_id": claim.task_id})["ok"]

        def arrives() -> bool:
            author.publish_text(claim.task_id, "write", "x", offset=0, rev=1)
            return other.count("step_output") > 0

        other.wait_until(arrives, "the text arrives")
        assert reader.count("step_output") == 0


def test_long_polling_is_served_too(author: Author, url: str) -> None:
    client = Recorder(url)
    client._client.connect(url, transports=["polling"], wait_timeout=30)
    client.wait_until(lambda: client.count("connected") == 1, "the server says connected")
    client.subscribe(author.instance_id)
    author.play()
    client.wait_for_seq(author.instance_id, 8)
    assert client.events() == author.events
    client.disconnect()
