"""Live progress reaches clients between the events it belongs between, and only the latest value of a task."""

from __future__ import annotations

from collections.abc import Callable

from tests.delivery.fake_stream import Scene
from tests.delivery.fakes import live_message


def test_live_state_comes_between_the_events_it_belongs_between(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish(2)
    s.stream.receive(live_message(10, base=2, rev=1))
    s.stream.turn()
    s.publish(progress=50)
    s.stream.receive(live_message(20, base=2, rev=2))
    s.stream.receive(live_message(60, base=3, rev=3))
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1", "2", "live 10", "3", "live 60"]


def test_live_state_that_overtakes_its_event_waits_for_it(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.reader.write(2)
    s.stream.receive(live_message(10, base=2, rev=1))
    s.stream.turn()
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1", "2", "live 10"]


def test_live_state_of_an_earlier_epoch_is_dropped(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish()
    s.stream.receive(live_message(10, base=500, rev=1))
    for _ in range(5):
        s.stream.turn()
    s.publish()
    assert s.story("a") == ["subscribed", "1", "2"]
    assert len(s.reader.reads) == 1


def test_live_state_of_another_log_of_the_same_name_is_dropped(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish()
    s.stream.receive(live_message(10, base=1, rev=7, epoch="two"))
    s.stream.receive(live_message(20, base=1, rev=1))
    s.stream.turn()
    s.publish()
    assert s.story("a") == ["subscribed", "1", "live 20", "2"]


def test_a_slow_client_gets_the_latest_live_state_only(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=16)
    s.publish_live_to_slow_client()
    assert s.story("slow") == ["subscribed", "1", "live 50"]
    assert s.story("fast") == ["subscribed", "1", *[f"live {percent}" for percent in range(1, 51)]]
