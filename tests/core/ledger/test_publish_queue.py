"""The queue of messages to Redis: events are not lost to text, an error ends nothing, and no thread if none is wanted.

Kind of fault: a bounded queue that drops what it must not, and a thread that ends, or exists, unnoticed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from swallowtail import signals
from swallowtail.app.core.events import EventRecord, TextPiece
from swallowtail.app.core.ledger.publish_queue import BACKLOG, TEXT_BACKLOG, PublishQueue
from tests.harness.waiting import wait_until


class Redis:
    """Publishes nothing before `goes_on` is set, and raises for text "raise"."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.published: list[Any] = []
        self.threads: set[threading.Thread] = set()

    def publish(self, events: list[EventRecord]) -> None:
        self._publish([event.seq for event in events])

    def publish_text(self, text: TextPiece) -> None:
        self._publish(text.text)

    def _publish(self, message: Any) -> None:
        assert self.goes_on.wait(60)
        assert message != "raise"
        self.threads.add(threading.current_thread())
        self.published.append(message)


@pytest.fixture
def redis() -> Redis:
    return Redis()


@pytest.fixture
def new_queue(redis: Redis) -> Iterator[Callable[..., PublishQueue]]:
    queues: list[PublishQueue] = []

    def make(**options: Any) -> PublishQueue:
        caster: Any = redis
        queues.append(PublishQueue(caster, redis, **options))
        return queues[-1]

    yield make
    redis.goes_on.set()
    for queue in queues:
        queue.close(60)


def send_event(redis: Redis, seq: int) -> None:
    event = EventRecord("demo", seq, "e", f"e{seq}", "t", "task_update", 1, {})
    signals.send(signals.event_recorded, redis, events=[event])


def send_text(text: str) -> None:
    signals.send(signals.text_produced, None, text=TextPiece("demo", "t", "s", 1, 1, 0, text))


def dropped() -> float:
    return REGISTRY.get_sample_value("swallowtail_announcements_dropped_total") or 0.0


def test_text_faster_than_redis_waits_and_arrives_whole(redis: Redis, new_queue: Callable[..., PublishQueue]) -> None:
    new_queue(text_wait=60.0)
    pieces = [str(number) for number in range(3 * BACKLOG)]
    before = dropped()

    def emit() -> None:
        for piece in pieces:
            send_text(piece)

    run = threading.Thread(target=emit)
    run.start()
    redis.goes_on.set()
    run.join(60)
    wait_until(lambda: len(redis.published) == len(pieces), "every piece is published")
    assert redis.published == pieces
    assert dropped() == before


def test_text_that_a_hanging_redis_keeps_is_dropped_and_events_behind_it_are_not(
    redis: Redis, new_queue: Callable[..., PublishQueue]
) -> None:
    new_queue(text_wait=0.001)
    before = dropped()
    for _ in range(2 * TEXT_BACKLOG):
        send_text("text")
    assert TEXT_BACKLOG - 1 <= dropped() - before <= TEXT_BACKLOG
    before, count = dropped(), BACKLOG - TEXT_BACKLOG
    for seq in range(count):
        send_event(redis, seq)
    assert dropped() == before
    redis.goes_on.set()
    wait_until(lambda: redis.published[-count:] == [[seq] for seq in range(count)], "every event is published")


def test_an_event_never_waits_for_space(redis: Redis, new_queue: Callable[..., PublishQueue]) -> None:
    new_queue(text_wait=3600.0)
    for seq in range(2 * BACKLOG):
        send_event(redis, seq)


def test_an_error_of_one_message_does_not_keep_the_next_from_redis(
    redis: Redis, new_queue: Callable[..., PublishQueue]
) -> None:
    new_queue()
    redis.goes_on.set()
    for text in ("raise", "next"):
        send_text(text)
    wait_until(lambda: redis.published == ["next"], "the next one is published")


@pytest.mark.parametrize("has_thread", [True, False])
def test_without_a_thread_the_caller_publishes(
    redis: Redis, new_queue: Callable[..., PublishQueue], has_thread: bool
) -> None:
    queue = new_queue(has_thread=has_thread)
    redis.goes_on.set()
    send_event(redis, 1)
    send_text("raise")
    queue.close(60)
    assert redis.published == [[1]]
    assert (redis.threads == {threading.current_thread()}) is not has_thread
