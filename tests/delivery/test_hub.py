"""The hub begins and ends watches with their clients, and leaves nothing behind, whatever the order of their doings."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from swallowtail.app.core.errors import NotFound, TooMany, Unavailable
from swallowtail.app.core.ledger.publisher import instance_channel, task_channel
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.wire import Answer, Since
from tests.delivery.fakes import INSTANCE, FakeArchive, FakeTransport, hint
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

TASK = "00000000-0000-4000-8000-000000000001"


def ignore() -> None:
    """Greet nobody."""


class Scene:
    """A hub on paper, with its real threads and locks, and the channels that it wants to hear."""

    def __init__(self, **fields: Any) -> None:
        self.settings = make_settings(head_check=0.05, **fields)
        self.archive = FakeArchive(self.settings)
        self.transport = FakeTransport()
        self.hub = Hub(self.settings, self.archive, self.transport)
        self.answers: list[Answer] = []

    def start(self) -> None:
        """Compare with the database; without an ear for Redis."""
        self.hub.check.start()

    @property
    def channels(self) -> set[str]:
        return self.hub._listener._wanted

    def subscribe(self, name: str, instance_id: str = INSTANCE, since: Since | None = None) -> None:
        self.hub.subscribe(name, instance_id, since, lambda answer: self.greet(name, answer))

    def unsubscribe(self, name: str, instance_id: str = INSTANCE) -> None:
        self.hub.unsubscribe(name, instance_id, lambda: self.say(name, "unsubscribed"))

    def greet(self, name: str, answer: Answer) -> None:
        self.answers.append(answer)
        self.say(name, f"subscribed {answer.mode}")

    def say(self, name: str, event: str) -> None:
        self.transport.send(name, [self.transport.frame(event, {})])

    def tell(self, count: int = 1) -> None:
        """Commit events and tell of them as Redis would."""
        events = self.archive.write(count)
        self.hub._hear(instance_channel(self.settings, INSTANCE), hint(events))

    def await_story(self, name: str, story: list[str]) -> None:
        wait_until(lambda: self.transport.story(name) == story, f"{name} gets {story}", seen=lambda: self.story(name))

    def story(self, name: str) -> list[str]:
        return self.transport.story(name)

    def await_end(self) -> None:
        wait_until(lambda: not self.hub._watches and not self.channels, "everything has ended")


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(**fields: Any) -> Scene:
        made.append(Scene(**fields))
        return made[-1]

    yield make
    for each in made:
        each.hub.stop()
        for name in list(each.hub._clients):
            each.hub.leave(name)
        each.await_end()


def test_listens_to_an_instance_only_while_somebody_watches_it(scene: Callable[..., Scene]) -> None:
    s = scene()
    for name in "ab":
        s.hub.enter(name)
        s.subscribe(name)
    assert s.channels == {instance_channel(s.settings, INSTANCE)}
    s.unsubscribe("a")
    s.tell()
    s.await_story("b", ["subscribed live", "1"])
    assert s.channels == {instance_channel(s.settings, INSTANCE)}
    s.hub.leave("b")
    s.await_end()
    assert s.story("a") == ["subscribed live", "unsubscribed"]


def test_delivers_without_redis_by_the_head_check(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.start()
    s.hub.enter("a")
    s.subscribe("a")
    s.archive.write(3)
    s.await_story("a", ["subscribed live", "1", "2", "3"])


def test_goes_on_checking_after_the_database_was_away(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.enter("a")
    s.subscribe("a")
    s.archive.away = True
    s.start()
    s.archive.write(2)
    with pytest.raises(Unavailable):
        s.subscribe("a", "another")
    s.archive.away = False
    s.await_story("a", ["subscribed live", "1", "2"])


def test_an_unknown_instance_is_not_watched(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.enter("a")
    with pytest.raises(NotFound):
        s.subscribe("a", "no-such")
    assert not s.hub._watches
    assert not s.channels


def test_what_is_not_subscribed_can_be_unsubscribed(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.enter("a")
    s.unsubscribe("a")
    s.hub.unsubscribe_task("a", TASK)
    assert s.story("a") == ["unsubscribed"]


def test_a_closed_connection_cannot_subscribe(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.enter("a")
    s.hub.leave("a")
    s.hub.leave("a")
    with pytest.raises(NotFound):
        s.subscribe("a")
    with pytest.raises(NotFound):
        s.unsubscribe("a")
    with pytest.raises(NotFound):
        s.hub.subscribe_task("a", TASK, ignore)


def test_a_connection_watches_only_so_much(scene: Callable[..., Scene]) -> None:
    s = scene(max_subscriptions=2)
    s.hub.enter("a")
    s.subscribe("a")
    s.hub.subscribe_task("a", TASK, ignore)
    with pytest.raises(TooMany):
        s.subscribe("a", "other")
    with pytest.raises(TooMany):
        s.hub.subscribe_task("a", "another", ignore)
    s.subscribe("a")
    s.hub.subscribe_task("a", TASK, ignore)
    s.unsubscribe("a")
    s.subscribe("a", "other")


def test_a_connection_that_drops_during_its_subscription_leaves_nothing(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.hub.enter("a")
    s.hub.subscribe("a", INSTANCE, None, lambda _: s.hub.leave("a"))
    s.await_end()
    s.hub.enter("b")
    reading = s.archive.read_answer

    def drop(instance_id: str, since: Since | None) -> Answer:
        s.hub.leave("b")
        return reading(instance_id, since)

    s.archive.read_answer = drop  # type: ignore[method-assign]
    s.subscribe("b")
    s.await_end()


def test_streamed_text_reaches_its_readers_only(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=16)
    channel = task_channel(s.settings, TASK)
    for name in "abc":
        s.hub.enter(name)
    s.hub.subscribe_task("a", TASK, ignore)
    s.hub.subscribe_task("b", TASK, ignore)
    assert s.channels == {channel}
    s.transport.stall("b")
    s.transport.waiting["b"] = 16
    for message in (b'{"text": {"task_id": "%s", "offset": 0, "text": "x"}}' % TASK.encode(), b"nonsense", b"{}"):
        s.hub._hear(channel, message)
    s.hub._hear(channel, b'{"text": {"task_id": "another", "text": "y"}}')
    assert (s.story("a"), s.story("b"), s.story("c")) == (["step_output"], [], [])
    s.hub.unsubscribe_task("a", TASK)
    s.hub.leave("b")
    assert s.channels == set()
    with pytest.raises(NotFound):
        s.hub.subscribe_task("c", "no-such", ignore)


def test_subscribing_during_continuous_publishing_loses_and_repeats_nothing(scene: Callable[..., Scene]) -> None:
    """Two publishers whose hints overtake each other and get lost, and forty clients that come, go and resume."""
    s = scene(ring_events=30)
    s.start()
    done = threading.Event()
    heard: dict[str, list[int]] = {}
    errors: list[BaseException] = []

    def publish(seed: int) -> None:
        luck = random.Random(seed)
        for _ in range(300):
            events = s.archive.write(luck.randint(1, 3))
            if luck.random() < 0.3:
                done.wait(0.001)
            if luck.random() > 0.05:
                s.hub._hear(instance_channel(s.settings, INSTANCE), hint(events))

    def follow(number: int) -> None:
        luck = random.Random(number)
        last = -1
        for visit in range(5):
            name = f"c{number}.{visit}"
            s.hub.enter(name)
            s.subscribe(name, since=None if last < 0 else Since("one", last))
            start = s.transport.sent[name][0]
            assert start.event in ("subscribed live", "subscribed replay")
            done.wait(luck.random() * 0.05)
            if visit == 4:
                await_all(name, last)
            s.hub.leave(name)
            got = s.transport.numbers(name)
            heard.setdefault(f"c{number}", []).extend(got)
            last = got[-1] if got else last

    def await_all(name: str, before: int) -> None:
        # A last visit that begins when all has been published brings nothing more than the one before.
        def has_all() -> bool:
            return done.is_set() and max(s.transport.numbers(name), default=before) == s.archive.head.seq

        wait_until(has_all, f"{name} has everything")

    def guard(work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    publishers = [threading.Thread(target=guard, args=(publish, number)) for number in range(2)]
    followers = [threading.Thread(target=guard, args=(follow, number)) for number in range(40)]
    for thread in (*publishers, *followers):
        thread.start()
    for thread in publishers:
        thread.join()
    s.archive.write()
    done.set()
    for thread in followers:
        thread.join()
    assert errors == []
    head = s.archive.head.seq
    for name, numbers in heard.items():
        assert numbers == list(range(numbers[0], head + 1)), name
