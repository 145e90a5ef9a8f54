"""Each metric of delivery grows by the right amount when its event happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.streams import gap as gap_module
from swallowtail.app.delivery.streams import instance_stream as stream_module
from swallowtail.app.delivery.wire import Since
from tests.delivery.fake_stream import Scene
from tests.delivery.fakes import INSTANCE, FakeReader, FakeTransport, events_message, live_message
from tests.harness.settings import make_settings

AGE = 40.0


class Growth:
    """The growth of a metric since this was created."""

    def __init__(self, name: str, **labels: str) -> None:
        self._what = (name, labels)
        self._before = self._now()

    def __call__(self) -> float:
        return self._now() - self._before

    def _now(self) -> float:
        return REGISTRY.get_sample_value(*self._what) or 0.0


class Fills:
    """The gaps filled since this was created, by cause."""

    CAUSES = ("early_hint", "lost_hint", "head_check", "reconnect", "subscribe", "resume", "epoch")

    def __init__(self) -> None:
        self._growth = {cause: Growth("swallowtail_gap_fills_total", cause=cause) for cause in self.CAUSES}

    def __call__(self) -> dict[str, float]:
        return {cause: growth() for cause, growth in self._growth.items() if growth()}


def aged(message: bytes, at: Any) -> bytes:
    """Return a message whose events were recorded at a moment."""
    return orjson.dumps({**orjson.loads(message), "at": at})


def test_the_time_from_commit_to_client_is_measured_once_per_event_for_any_number_of_clients(
    scene: Callable[..., Scene],
) -> None:
    count, total = (
        Growth("swallowtail_commit_to_client_seconds_count"),
        Growth("swallowtail_commit_to_client_seconds_sum"),
    )
    s = scene()
    for name in "abcde":
        s.join(name)
    s.stream.receive(aged(events_message(s.reader.write(3)), time.time() - AGE))
    s.stream.turn()
    assert s.story("e") == ["subscribed", "1", "2", "3"]
    assert count() == 3
    assert 3 * AGE <= total() < 3 * AGE + 30


def test_an_event_that_the_database_brought_is_measured_too(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.reader.write(2)
    s.reader.events = [replace(event, at=time.time() - AGE) for event in s.reader.events]
    count, total = (
        Growth("swallowtail_commit_to_client_seconds_count"),
        Growth("swallowtail_commit_to_client_seconds_sum"),
    )
    s.check()
    assert s.story("a") == ["subscribed", "1", "2"]
    assert count() == 2
    assert total() >= 2 * AGE


def test_events_older_than_the_first_subscription_are_not_measured(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(5)
    s.reader.events = [replace(event, at=1.0) for event in s.reader.events]
    count = Growth("swallowtail_commit_to_client_seconds_count")
    s._stream = stream_module.InstanceStream(INSTANCE, s.reader.head, s.settings, s.reader, s.transport, after=0)
    s.join("a", since=0)
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1", "2", "3", "4", "5"]
    assert count() == 0


@pytest.mark.parametrize("at", [None, "now", True, 17, [], 0.0])
def test_a_hint_without_a_time_is_delivered_and_not_measured(scene: Callable[..., Scene], at: Any) -> None:
    count = Growth("swallowtail_commit_to_client_seconds_count")
    s = scene()
    s.join("a")
    s.stream.receive(aged(events_message(s.reader.write()), at))
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1"]
    assert count() == 0


def test_an_author_whose_clock_is_ahead_counts_as_immediate(scene: Callable[..., Scene]) -> None:
    total = Growth("swallowtail_commit_to_client_seconds_sum")
    s = scene()
    s.join("a")
    s.stream.receive(aged(events_message(s.reader.write()), time.time() + 3600))
    s.stream.turn()
    assert total() == 0


def test_reordered_hints_fill_their_gap_themselves(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gap_module, "GAP_PATIENCE", 60.0)
    fills = Fills()
    s = scene()
    s.join("a")
    one, two = s.reader.write(2)
    for events in ([two], [one]):
        s.stream.receive(events_message(events))
        s.stream.turn()
    assert fills() == {"early_hint": 1}


def test_a_lost_hint_is_a_gap_that_the_next_one_showed(scene: Callable[..., Scene]) -> None:
    fills = Fills()
    s = scene()
    s.join("a")
    s.reader.write(2)
    s.publish()
    assert fills() == {"lost_hint": 1}


def test_a_gap_of_several_pages_is_one_gap(scene: Callable[..., Scene]) -> None:
    fills = Fills()
    s = scene()
    s.join("a")
    s.reader.write(900)
    s.publish()
    s.stream.turn()
    assert len(s.reader.reads) > 3
    assert fills() == {"lost_hint": 1}


def test_a_gap_that_no_message_showed_is_the_head_checks(scene: Callable[..., Scene]) -> None:
    fills = Fills()
    s = scene()
    s.join("a")
    s.reader.write(2)
    s.check()
    assert fills() == {"head_check": 1}


def test_a_gap_older_than_the_channels_subscription_is_the_subscriptions_and_later_the_reconnections(
    scene: Callable[..., Scene],
) -> None:
    fills = Fills()
    s = scene()
    s.join("a")
    for _ in range(2):
        s.reader.write()
        s.stream.joined()
        s.check()
    assert s.story("a") == ["subscribed", "1", "2"]
    assert fills() == {"subscribe": 1, "reconnect": 1}


def test_a_subscriber_that_knows_more_than_the_buffer_shows_a_gap(scene: Callable[..., Scene]) -> None:
    fills = Fills()
    s = scene()
    s.join("a")
    s.reader.write(2)
    s.join("b")
    s.stream.turn()
    assert fills() == {"subscribe": 1}


def test_the_first_clients_resumption_is_read_for_all(scene: Callable[..., Scene]) -> None:
    fills = Fills()
    s = scene()
    s.reader.write(5)
    s._stream = stream_module.InstanceStream(INSTANCE, s.reader.head, s.settings, s.reader, s.transport, after=2)
    for name in "abc":
        s.join(name, since=2)
    s.stream.turn()
    assert fills() == {"resume": 1}


def test_another_epoch_is_read_from_the_database_and_resets_are_counted_by_reason(scene: Callable[..., Scene]) -> None:
    fills, resets = Fills(), Growth("swallowtail_resets_total", reason="epoch")
    s = scene()
    s.join("a")
    s.join("b")
    s.publish()
    s.reader.begin_epoch("two", 4)
    s.publish()
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1", "reset epoch"]
    assert (fills(), resets()) == ({"epoch": 1}, 2)


def test_a_subscription_that_the_buffer_cannot_serve_is_a_miss(scene: Callable[..., Scene]) -> None:
    misses = Growth("swallowtail_ring_misses_total", of="subscription")
    s = scene(ring_events=10)
    s.join("a")
    for _ in range(20):
        s.publish()
    late = Client("late")
    assert s.stream.admission.admit_now(late, Since("one", 15), snapshot=None, on_start=lambda _: None)
    assert misses() == 0
    assert not s.stream.admission.admit_now(late, Since("one", 3), snapshot=None, on_start=lambda _: None)
    assert misses() == 1


def test_a_cursor_behind_the_buffer_is_one_miss(scene: Callable[..., Scene]) -> None:
    misses = Growth("swallowtail_ring_misses_total", of="cursor")
    s = scene(client_backlog=16, ring_events=20)
    s.join("slow")
    s.join("fast")
    s.transport.stall("slow")
    for _ in range(100):
        s.publish()
    s.transport.drain("slow")
    for _ in range(3):
        s.stream.turn()
    assert s.transport.numbers("slow") == list(range(1, 101))
    assert misses() == 1


def test_the_metrics_show_how_many_live_values_were_merged(scene: Callable[..., Scene]) -> None:
    offered, sent = Growth("swallowtail_live_offered_total"), Growth("swallowtail_delivered_total", kind="live")
    s = scene(client_backlog=16)
    s.publish_live_to_slow_client()
    assert (offered(), sent()) == (100, 51)
    s.stream.receive(live_message(1, base=1, rev=1))
    s.stream.turn()
    assert offered() == 100


def test_clients_that_do_not_have_everything_are_counted_when_asked() -> None:
    settings = make_settings(client_backlog=16)
    reader, transport = FakeReader(settings), FakeTransport()
    hub = Hub(settings, reader, transport)
    for name in ("slow", "fast"):
        hub.clients.add(name)
        hub.subscriptions.subscribe(name, INSTANCE, None, lambda _: None)
    transport.stall("slow")
    stream = hub.streams.by_instance[INSTANCE]
    for _ in range(40):
        stream.receive(events_message(reader.write()))
        stream.turn()
    hub.refresh_gauges()
    assert REGISTRY.get_sample_value("swallowtail_cursors_behind") == 1
    transport.drain("slow")
    # The stream pauses a slow client for a moment.
    for _ in range(1000):
        stream.turn()
        if not stream.lagging_count:
            break
    hub.refresh_gauges()
    assert REGISTRY.get_sample_value("swallowtail_cursors_behind") == 0
    for name in ("slow", "fast"):
        hub.subscriptions.disconnect(name)
