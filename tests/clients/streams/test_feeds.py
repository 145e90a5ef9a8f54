"""The feed of a stream: it pauses while its reader is behind, and puts together live text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from swallowtail.client import Event, LiveUpdate
from swallowtail.client.stream.feed import Feed
from swallowtail.client.stream.mailbox import Mailbox
from tests.clients.fake_connection import FakeConnection, FakeServer, event
from tests.harness.waiting import wait_until


def _ignore() -> None:
    """Do nothing."""


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def feed(server: FakeServer) -> Iterator[Feed]:
    feed = Feed("http://server", None, Mailbox(_ignore, capacity=4), server.make_connection, close_within=5)
    feed.open("i", {"epoch": "a", "seq": 0}, live=True)
    yield feed
    feed.close()


def accept(connection: FakeConnection, place: int, head: int) -> None:
    """Answer the request number `place`."""
    connection.answer(place, {"ok": True, "mode": "replay", "epoch": "a", "head": head, "min_seq": 0})


def piece(offset: int, text: str, attempt: int = 1) -> dict[str, Any]:
    own = {"instance_id": "i", "task_id": "t", "step_id": "s", "attempt": attempt, "rev": offset}
    return {**own, "offset": offset, "text": text}


def take(feed: Feed, count: int) -> list[Any]:
    items: list[Any] = []

    def has_taken() -> bool:
        item = feed.take()
        items.extend([] if item is None else [item])
        return len(items) >= count

    wait_until(has_taken, f"{count} items arrive", seen=lambda: items)
    return items


def test_a_feed_pauses_until_half_of_its_items_are_read(server: FakeServer, feed: Feed) -> None:
    connection = server.wait_for(1)
    connection.wait_for_sent(1)
    accept(connection, 1, 30)
    for seq in range(1, 31):
        connection.say("task_update", event(seq))
    connection.wait_for_sent(2)
    assert connection.sent[1] == ("unsubscribe_instance", {"instance_id": "i"})
    seqs = [item.seq for item in take(feed, 1)]
    assert len(connection.sent) == 2
    for number in range(3, 20):
        seqs += [item.seq for item in take(feed, 3 if number == 3 else 4)]
        if len(seqs) >= 28:
            break
        place = 2 * number - 3
        since = connection.wait_for_sent(place)["since"]["seq"]
        assert since == seqs[-1]
        accept(connection, place, 30)
        for seq in range(since + 1, 31):
            connection.say("task_update", event(seq))
    assert seqs == list(range(1, 29))


def test_text_that_found_no_room_comes_with_the_next_piece(server: FakeServer, feed: Feed) -> None:
    connection = server.wait_for(1)
    connection.wait_for_sent(1)
    accept(connection, 1, 4)
    feed.subscribe_task("t")
    connection.wait_for_sent(2)
    connection.say("step_output", piece(0, "One "))
    for seq in range(1, 4):
        connection.say("task_update", event(seq))
    connection.say("step_output", piece(4, "two "))
    connection.say("unsubscribed", {"instance_id": "i"})
    wait_until(lambda: feed.mailbox.is_full, "the mailbox is full")
    wait_until(lambda: feed._queue._items.empty(), "all messages are handled")
    first, *events = take(feed, 4)
    connection.say("step_output", piece(8, "three"))
    connection.say("step_output", piece(0, "Again", attempt=2))
    second, third = take(feed, 2)
    texts = [(text.text, text.offset, text.is_start, text.attempt) for text in (first, second, third)]
    assert texts == [("One ", 0, True, 1), ("two three", 4, False, 1), ("Again", 0, True, 2)]
    assert all(isinstance(item, Event) for item in events)


def test_progress_without_a_number_is_a_live_update(server: FakeServer, feed: Feed) -> None:
    connection = server.wait_for(1)
    connection.wait_for_sent(1)
    accept(connection, 1, 0)
    live = {key: value for key, value in event(1, progress=40, message="Half").items() if key != "seq"}
    connection.say("task_update", {**live, "rev": 1})
    (update,) = take(feed, 1)
    assert isinstance(update, LiveUpdate)
    assert (update.type, update.task_id, update.progress, update.message) == ("progress", "t", 40, "Half")


def test_a_refused_text_does_not_end_the_feed(server: FakeServer, feed: Feed) -> None:
    connection = server.wait_for(1)
    connection.wait_for_sent(1)
    accept(connection, 1, 1)
    connection.say("error", {"code": "forbidden", "message": "no text for this token"})
    connection.say("task_update", event(1))
    assert [item.seq for item in take(feed, 1)] == [1]
