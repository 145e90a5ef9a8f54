"""Publishing to Redis: messages have the documented shape, and an unavailable Redis does not affect the writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import redis

from swallowtail.app.core.events import EventRecord, LiveState, TextPiece
from swallowtail.app.core.ledger.publish_queue import PublishQueue
from swallowtail.app.core.ledger.publisher import (
    PUBLISH_FAILURES,
    PUBLISHED,
    Broadcaster,
    instance_channel,
    task_channel,
)
from swallowtail.app.core.process.circuit_breaker import CircuitBreaker
from swallowtail.app.core.redis.connection import connect
from tests.core.domain import Domain
from tests.harness.servers import RedisServer
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.service

LIVE = LiveState("demo", "t", 1, 4, 17, {"progress": 30.0, "message": "on it", "timestamp": "T"})
TEXT = TextPiece("demo", "t", "s", 1, 2, 5, "more")


def event(instance_id: str = "demo", seq: int = 1, **data: Any) -> EventRecord:
    return EventRecord(instance_id, seq, "e", f"{instance_id}{seq}", "t", "task_update", 1, {"progress": 1.0, **data})


class Listener:
    """A subscriber of every channel of a Redis."""

    def __init__(self, server: RedisServer) -> None:
        self.client = redis.Redis.from_url(server.url)
        self.pubsub = self.client.pubsub()  # type: ignore[no-untyped-call]
        self.pubsub.psubscribe("*")
        wait_until(lambda: self.pubsub.get_message(timeout=1.0), "it is subscribed")

    def receive(self, count: int) -> list[tuple[str, Any]]:
        received: list[tuple[str, Any]] = []
        while len(received) < count:
            message = wait_until(
                lambda: self.pubsub.get_message(timeout=1.0), f"{count} messages arrived", seen=received
            )
            received.append((message["channel"].decode(), orjson.loads(message["data"])))
        assert self.pubsub.get_message(timeout=0.05) is None, "more messages than expected"
        return received

    def close(self) -> None:
        self.pubsub.close()
        self.client.close()


@pytest.fixture
def listener(redis_server: RedisServer) -> Iterator[Listener]:
    listener = Listener(redis_server)
    yield listener
    listener.close()


@pytest.fixture
def caster(redis_server: RedisServer) -> Iterator[Broadcaster]:
    caster = Broadcaster(make_settings(redis_url=redis_server.url, publish_timeout=0.5))
    yield caster
    caster.close()


class Counted:
    """The increase of the counters since its creation."""

    def __init__(self) -> None:
        self._before = self._now()

    def __call__(self, kind: str) -> tuple[float, float]:
        """Return the published and failed messages of one kind."""
        sent, failed = self._now()[kind], self._before[kind]
        return sent[0] - failed[0], sent[1] - failed[1]

    @staticmethod
    def _now() -> dict[str, tuple[float, float]]:
        return {
            kind: (PUBLISHED.labels(kind)._value.get(), PUBLISH_FAILURES.labels(kind)._value.get())
            for kind in ("events", "live", "text")
        }


def test_events_are_published_together_for_each_instance_in_their_order(
    caster: Broadcaster, listener: Listener
) -> None:
    counted = Counted()
    first, elsewhere, second = event(seq=1), event("other", 7), event(seq=2, text="é\u2028")
    caster.publish([first, elsewhere, second])
    assert listener.receive(2) == [
        ("swallowtail:instance:demo", {"kind": "events", "at": 0.0, "events": [first.wire(), second.wire()]}),
        ("swallowtail:instance:other", {"kind": "events", "at": 0.0, "events": [elsewhere.wire()]}),
    ]
    assert counted("events") == (2, 0)
    caster.publish([])
    assert counted("events") == (2, 0)


def test_live_state_and_text_have_their_own_channels_and_forms(caster: Broadcaster, listener: Listener) -> None:
    caster.publish_live(LIVE)
    caster.publish_text(TEXT)
    assert listener.receive(2) == [
        ("swallowtail:instance:demo", {"kind": "live", "base_seq": 17, "live": LIVE.wire()}),
        ("swallowtail:task:t", {"kind": "text", "text": TEXT.wire()}),
    ]


def test_channels_carry_the_prefix_of_the_settings() -> None:
    settings = make_settings(channel_prefix="mine")
    assert instance_channel(settings, "demo") == "mine:instance:demo"
    assert task_channel(settings, "t") == "mine:task:t"


def test_the_ledger_publishes_committed_events(
    new_domain: Callable[..., Domain], redis_server: RedisServer, listener: Listener
) -> None:
    domain = new_domain(redis_url=redis_server.url)
    queue = PublishQueue(domain.rt.broadcast, domain.db)
    task_id = domain.submit()
    domain.claim(task_id)
    events = domain.events()
    wires = [event.wire() for event in events]
    assert listener.receive(2) == [
        ("swallowtail:instance:demo", {"kind": "events", "at": events[0].at, "events": wires[:1]}),
        ("swallowtail:instance:demo", {"kind": "events", "at": events[1].at, "events": wires[1:]}),
    ]
    assert 0 < events[0].at <= events[1].at <= time.time()
    queue.close()


def test_an_unavailable_redis_is_counted_and_not_raised_and_used_again_later(
    caster: Broadcaster, redis_server: RedisServer
) -> None:
    counted = Counted()
    redis_server.kill()
    caster.publish([event(seq=1)])
    caster.publish_live(LIVE)
    caster.publish_text(TEXT)
    assert (counted("events"), counted("live"), counted("text")) == ((0, 1), (0, 1), (0, 1))
    redis_server.start()
    listener = Listener(redis_server)

    def publish() -> bool:
        caster.publish([event(seq=2)])
        return counted("events")[0] == 1

    wait_until(publish, "it publishes again")
    assert listener.receive(1) == [
        ("swallowtail:instance:demo", {"kind": "events", "at": 0.0, "events": [event(seq=2).wire()]})
    ]
    listener.close()


def test_after_a_failure_nothing_is_tried_for_a_while(
    caster: Broadcaster, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caster._breaker = CircuitBreaker(3600.0)
    tries: list[str] = []
    real = caster._attempt

    def attempt(kind: str, send: Callable[[redis.Redis], object]) -> None:
        tries.append(kind)
        real(kind, send)

    monkeypatch.setattr(caster, "_attempt", attempt)
    redis_server.kill()
    counted = Counted()
    for seq in range(1, 6):
        caster.publish([event(seq=seq)])
    assert tries == ["events"]
    assert counted("events") == (0, 5)


@pytest.mark.parametrize("warm", [True, False], ids=["connected before", "not connected yet"])
@pytest.mark.parametrize("address", ["socket", "port"])
def test_a_hanging_redis_delays_the_work_by_at_most_publish_timeout(
    redis_server: RedisServer, tcp_redis: RedisServer, address: str, warm: bool
) -> None:
    server = redis_server if address == "socket" else tcp_redis
    caster = Broadcaster(make_settings(redis_url=server.url, publish_timeout=0.5))
    counted = Counted()
    if warm:
        caster.publish([event(seq=1)])
    server.pause()
    publisher = threading.Thread(target=caster.publish, args=([event(seq=2), event("other", 1), event("third", 1)],))
    publisher.start()
    publisher.join(timeout=60)
    assert not publisher.is_alive()
    server.resume()
    caster.close()
    assert counted("events") == (int(warm), 3)


def test_many_threads_wait_for_a_hanging_redis_concurrently(caster: Broadcaster, redis_server: RedisServer) -> None:
    caster.publish([event(seq=1)])
    redis_server.pause()
    counted = Counted()
    threads = [threading.Thread(target=caster.publish, args=([event(seq=seq)],)) for seq in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    redis_server.resume()
    assert counted("events") == (0, 8)


def test_a_redis_that_refuses_is_counted(caster: Broadcaster, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.acl_setuser("default", commands=["-publish"])
    counted = Counted()
    caster.publish([event()])
    assert counted("events") == (0, 1)


@pytest.mark.parametrize("odd", ["\ud800", "nul \x00", float("nan"), {1, 2}])
def test_odd_values_are_published_as_they_would_be_read_back(
    caster: Broadcaster, listener: Listener, odd: object
) -> None:
    caster.publish([event(odd=odd)])
    ((_, message),) = listener.receive(1)
    assert message["events"][0]["data"]["odd"] in ("\ufffd", "nul \ufffd", None, [1, 2])


def test_a_value_without_a_json_form_is_counted_and_not_raised(caster: Broadcaster, listener: Listener) -> None:
    counted = Counted()
    caster.publish([event(odd=object())])
    caster.publish([event(seq=2)])
    assert len(listener.receive(1)) == 1, "and the circuit breaker stays closed"
    assert counted("events") == (1, 1)


def test_a_client_gives_up_at_its_own_limit(redis_server: RedisServer) -> None:
    redis_server.pause()
    client = connect(make_settings(redis_url=redis_server.url), timeout=0.1)
    with pytest.raises(redis.RedisError):
        client.ping()
    client.close()
    redis_server.resume()
