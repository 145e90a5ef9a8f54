"""The hub starts and ends streams with their clients, and leaves nothing behind, in whichever order clients act."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from swallowtail.app.core.errors import NotFound, TooMany, Unavailable
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.publisher import instance_channel, task_channel
from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.fakes import INSTANCE, FakeReader, FakeTransport, events_message
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

TASK = "00000000-0000-4000-8000-000000000001"


def do_nothing() -> None:
    """Do nothing."""


class Scene:
    """A hub on fakes, with its real threads and locks."""

    def __init__(self, **fields: Any) -> None:
        self.settings = make_settings(head_check=0.05, **fields)
        self.reader = FakeReader(self.settings)
        self.transport = FakeTransport()
        self.hub = Hub(self.settings, self.reader, self.transport)
        self.starts: list[SubscriptionStart] = []

    def start(self) -> None:
        """Compare with the database; without Redis."""
        self.hub.head_check.start()

    @property
    def channels(self) -> set[str]:
        return self.hub.subscriber._wanted

    def subscribe(self, name: str, instance_id: str = INSTANCE, since: Since | None = None) -> None:
        self.hub.subscriptions.subscribe(name, instance_id, since, lambda start: self.record_start(name, start))

    def unsubscribe(self, name: str, instance_id: str = INSTANCE) -> None:
        self.hub.subscriptions.unsubscribe(name, instance_id, lambda: self.say(name, "unsubscribed"))

    def record_start(self, name: str, start: SubscriptionStart) -> None:
        self.starts.append(start)
        self.say(name, f"subscribed {start.mode}")

    def say(self, name: str, event: str) -> None:
        self.transport.send(name, [self.transport.frame(event, {})])

    def publish(self, count: int = 1) -> None:
        """Commit events and receive them as from Redis."""
        self.receive(self.reader.write(count))

    def receive(self, events: Sequence[EventRecord]) -> None:
        """Receive a message that announces events."""
        self.hub.router.receive(instance_channel(self.settings, INSTANCE), events_message(events))

    def await_story(self, name: str, story: list[str]) -> None:
        wait_until(lambda: self.transport.story(name) == story, f"{name} gets {story}", seen=lambda: self.story(name))

    def story(self, name: str) -> list[str]:
        return self.transport.story(name)

    def await_end(self) -> None:
        wait_until(lambda: not self.hub.streams.by_instance and not self.channels, "everything has ended")


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def make(**fields: Any) -> Scene:
        scenes.append(Scene(**fields))
        return scenes[-1]

    yield make
    for each in scenes:
        each.hub.stop()
        for name in list(each.hub.clients.by_id):
            each.hub.subscriptions.disconnect(name)
        each.await_end()


def test_subscribes_to_an_instances_channel_only_while_it_has_clients(scene: Callable[..., Scene]) -> None:
    s = scene()
    for name in "ab":
        s.hub.clients.add(name)
        s.subscribe(name)
    assert s.channels == {instance_channel(s.settings, INSTANCE)}
    s.unsubscribe("a")
    s.publish()
    s.await_story("b", ["subscribed live", "1"])
    assert s.channels == {instance_channel(s.settings, INSTANCE)}
    s.hub.subscriptions.disconnect("b")
    s.await_end()
    assert s.story("a") == ["subscribed live", "unsubscribed"]


def test_delivers_without_redis_by_the_head_check(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.start()
    s.hub.clients.add("a")
    s.subscribe("a")
    s.reader.write(3)
    s.await_story("a", ["subscribed live", "1", "2", "3"])


def test_continues_to_check_after_the_database_was_unavailable(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.clients.add("a")
    s.subscribe("a")
    s.reader.away = True
    s.start()
    s.reader.write(2)
    with pytest.raises(Unavailable):
        s.subscribe("a", "another")
    s.reader.away = False
    s.await_story("a", ["subscribed live", "1", "2"])


def test_an_unknown_instance_has_no_stream(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.clients.add("a")
    with pytest.raises(NotFound):
        s.subscribe("a", "no-such")
    assert not s.hub.streams.by_instance
    assert not s.channels


def test_unsubscribing_without_a_subscription_is_allowed(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.clients.add("a")
    s.unsubscribe("a")
    s.hub.subscriptions.unsubscribe_task("a", TASK)
    assert s.story("a") == ["unsubscribed"]


def test_a_closed_connection_cannot_subscribe(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.clients.add("a")
    s.hub.subscriptions.disconnect("a")
    s.hub.subscriptions.disconnect("a")
    with pytest.raises(NotFound):
        s.subscribe("a")
    with pytest.raises(NotFound):
        s.unsubscribe("a")
    with pytest.raises(NotFound):
        s.hub.subscriptions.subscribe_task("a", TASK, do_nothing)


def test_a_connection_has_at_most_so_many_subscriptions(scene: Callable[..., Scene]) -> None:
    s = scene(max_subscriptions=2)
    s.hub.clients.add("a")
    s.subscribe("a")
    s.hub.subscriptions.subscribe_task("a", TASK, do_nothing)
    with pytest.raises(TooMany):
        s.subscribe("a", "other")
    with pytest.raises(TooMany):
        s.hub.subscriptions.subscribe_task("a", "another", do_nothing)
    s.subscribe("a")
    s.hub.subscriptions.subscribe_task("a", TASK, do_nothing)
    s.unsubscribe("a")
    s.subscribe("a", "other")


def test_a_connection_that_drops_during_its_subscription_leaves_nothing(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.clients.add("a")
    s.hub.subscriptions.subscribe("a", INSTANCE, None, lambda _: s.hub.subscriptions.disconnect("a"))
    s.await_end()
    s.hub.clients.add("b")
    reading = s.reader.read_start

    def drop(instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        s.hub.subscriptions.disconnect("b")
        return reading(instance_id, since, view)

    s.reader.read_start = drop  # type: ignore[method-assign]
    s.subscribe("b")
    s.await_end()


def test_streamed_text_reaches_its_readers_only(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=16)
    channel = task_channel(s.settings, TASK)
    for name in "abc":
        s.hub.clients.add(name)
    s.hub.subscriptions.subscribe_task("a", TASK, do_nothing)
    s.hub.subscriptions.subscribe_task("b", TASK, do_nothing)
    assert s.channels == {channel}
    s.transport.stall("b")
    s.transport.waiting["b"] = 16
    for message in (b'{"text": {"task_id": "%s", "offset": 0, "text": "x"}}' % TASK.encode(), b"nonsense", b"{}"):
        s.hub.router.receive(channel, message)
    s.hub.router.receive(channel, b'{"text": {"task_id": "another", "text": "y"}}')
    assert (s.story("a"), s.story("b"), s.story("c")) == (["step_output"], [], [])
    s.hub.subscriptions.unsubscribe_task("a", TASK)
    s.hub.subscriptions.disconnect("b")
    assert s.channels == set()
    with pytest.raises(NotFound):
        s.hub.subscriptions.subscribe_task("c", "no-such", do_nothing)


class Rush:
    """Publishers whose messages overtake each other and get lost, and clients that subscribe, leave and resume."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.done = threading.Event()
        self.received: dict[str, list[int]] = {}
        self.errors: list[BaseException] = []

    def publish(self, seed: int) -> None:
        luck = random.Random(seed)
        for _ in range(300):
            events = self.scene.reader.write(luck.randint(1, 3))
            if luck.random() < 0.3:
                self.done.wait(0.001)
            if luck.random() > 0.05:
                self.scene.receive(events)

    def follow(self, number: int) -> None:
        luck = random.Random(number)
        last = -1
        for visit in range(5):
            name = f"c{number}.{visit}"
            self.scene.hub.clients.add(name)
            self.scene.subscribe(name, since=None if last < 0 else Since("one", last))
            assert self.scene.story(name)[0] in ("subscribed live", "subscribed replay")
            self.done.wait(luck.random() * 0.05)
            if visit == 4:
                self.await_all(name, last)
            self.scene.hub.subscriptions.disconnect(name)
            numbers = self.scene.transport.numbers(name)
            self.received.setdefault(f"c{number}", []).extend(numbers)
            last = numbers[-1] if numbers else last

    def await_all(self, name: str, before: int) -> None:
        # A last visit that starts after the last event brings no events.
        def has_all() -> bool:
            numbers = self.scene.transport.numbers(name)
            return self.done.is_set() and max(numbers, default=before) == self.scene.reader.head.seq

        wait_until(has_all, f"{name} has everything")

    def start(self, work: Callable[[int], None], count: int) -> list[threading.Thread]:
        def guard(number: int) -> None:
            try:
                work(number)
            except BaseException as error:
                self.errors.append(error)

        threads = [threading.Thread(target=guard, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        return threads


def test_subscribing_during_continuous_publishing_loses_and_repeats_nothing(scene: Callable[..., Scene]) -> None:
    s = scene(ring_events=30)
    s.start()
    rush = Rush(s)
    publishers, followers = rush.start(rush.publish, 2), rush.start(rush.follow, 40)
    for thread in publishers:
        thread.join()
    s.reader.write()
    rush.done.set()
    for thread in followers:
        thread.join()
    assert rush.errors == []
    head = s.reader.head.seq
    for name, numbers in rush.received.items():
        assert numbers == list(range(numbers[0], head + 1)), name
