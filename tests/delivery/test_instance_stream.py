"""A stream delivers each event to each client once and in order, for any messages in any order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.streams import gap as gap_module
from tests.delivery.fake_stream import Scene
from tests.delivery.fakes import events_message, make_event


def test_a_new_client_gets_new_events_only(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(3)
    assert s.join("a") == "live"
    s.publish()
    s.publish(2)
    assert s.story("a") == ["subscribed", "4", "5", "6"]
    assert s.reader.reads == []


def test_a_client_gets_everything_since_its_last_before_anything_newer(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(5)
    assert s.join("a", since=2) == "replay"
    s.publish()
    assert s.story("a") == ["subscribed", "3", "4", "5", "6"]


def test_a_long_replay_comes_in_pages_and_in_order(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=10_000)
    s.reader.write(950)
    s.join("a", since=0)
    s.stream.turn()
    assert s.transport.numbers("a") == list(range(1, 951))
    assert s.reader.reads == [0, 200, 400, 600, 800]


def test_one_read_serves_every_client_at_the_same_position(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=10_000)
    s.reader.write(350)
    for number in range(30):
        s.join(f"c{number}", since=number % 3)
    s.stream.turn()
    assert all(s.transport.numbers(f"c{n}") == list(range(n % 3 + 1, 351)) for n in range(30))
    assert len(s.reader.reads) <= 3


def test_a_subscription_again_without_since_changes_nothing(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(5)
    s.join("a", since=2)
    s.join("a")
    s.publish()
    assert s.story("a") == ["subscribed", "subscribed", "3", "4", "5", "6"]


def test_a_subscription_again_with_since_moves_the_cursor(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish(4)
    s.join("a", since=1)
    s.publish()
    assert s.story("a") == ["subscribed", "1", "2", "3", "4", "subscribed", "2", "3", "4", "5"]


def test_nothing_follows_an_unsubscription(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.join("b")
    s.publish()
    s.part("a")
    s.publish()
    s.join("a")
    s.publish()
    assert s.story("a") == ["subscribed", "1", "unsubscribed", "subscribed", "3"]
    assert s.story("b") == ["subscribed", "1", "2", "3"]


def test_hints_out_of_order_are_put_right_without_reading(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gap_module, "GAP_PATIENCE", 60.0)
    s = scene()
    s.join("a")
    one, two, three = s.reader.write(3)
    for events in ([three], [two], [two], [one]):
        s.stream.receive(events_message(events))
        s.stream.turn()
    assert s.story("a") == ["subscribed", "1", "2", "3"]
    assert s.reader.reads == []


def test_a_lost_hint_is_read_from_the_database(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish()
    s.reader.write(2)
    s.publish()
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1", "2", "3", "4"]
    assert s.reader.reads == [1]


def test_the_head_check_finds_events_without_a_hint(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.reader.write(3)
    s.check()
    s.check()
    assert s.story("a") == ["subscribed", "1", "2", "3"]
    assert s.reader.reads == [0]


def test_repeats_are_dropped(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    events = events_message(s.reader.write(2))
    for _ in range(3):
        s.stream.receive(events)
        s.check()
    assert s.story("a") == ["subscribed", "1", "2"]


def test_a_client_whose_database_is_ahead_of_the_hints_gets_nothing_twice(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    late = events_message(s.reader.write(2))
    s.join("b")
    s.stream.receive(late)
    s.stream.turn()
    s.publish()
    assert s.story("a") == ["subscribed", "1", "2", "3"]
    assert s.story("b") == ["subscribed", "3"]


def test_hints_are_delivered_while_the_database_is_away(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.reader.away = True
    s.publish()
    lost = s.reader.write()
    with pytest.raises(Unavailable):
        s.publish()
    assert (s.story("a"), lost[0].seq) == (["subscribed", "1"], 2)
    s.reader.away = False
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1", "2", "3"]


def test_another_epoch_resets_every_client_and_delivery_continues(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish(3)
    s.reader.begin_epoch("two", 1)
    s.check()
    s.publish()
    assert s.story("a") == ["subscribed", "1", "2", "3", "reset epoch", "2"]
    assert s.join("a", since=3, epoch="one") == "snapshot"
    s.publish()
    assert s.story("a")[-2:] == ["subscribed", "3"]


def test_a_hint_of_another_epoch_makes_the_stream_ask_the_database(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish(3)
    s.stream.receive(events_message([make_event(9, "stale")]))
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1", "2", "3"]
    s.reader.begin_epoch("two", 5)
    s.publish()
    s.publish()
    assert s.story("a") == ["subscribed", "1", "2", "3", "reset epoch", "7"]


def test_a_subscription_that_brings_another_epoch_resets_the_others(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish()
    s.reader.begin_epoch("two", 4)
    s.join("b")
    s.publish()
    assert s.story("a") == ["subscribed", "1", "reset epoch", "5"]
    assert s.story("b") == ["subscribed", "5"]


def test_a_replay_that_meets_pruned_events_is_reset(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(20)
    s.join("a", since=3)
    s.join("b")
    s.reader.prune(10)
    s.publish()
    assert s.story("a") == ["subscribed", "reset too_old", *map(str, range(11, 22))]
    assert s.story("b") == ["subscribed", "21"]


def test_events_that_were_pruned_before_they_arrived_reset_every_client(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish()
    s.reader.write(5)
    s.reader.prune(4)
    s.check()
    assert s.story("a") == ["subscribed", "1", "reset too_old", "5", "6"]
    s.reader.write(2)
    s.reader.prune(8)
    s.check()
    s.publish()
    assert s.story("a")[-2:] == ["reset too_old", "9"]


def test_a_deleted_instance_revokes_its_subscriptions(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.reader.exists = False
    s.check()
    s.check()
    assert s.story("a") == ["subscribed", "reset revoked"]
    assert s.stream.is_idle


def test_a_client_that_takes_nothing_waits_without_cost_and_then_gets_everything(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=16, ring_events=20)
    s.join("slow")
    s.join("fast")
    s.transport.stall("slow")
    for _ in range(100):
        s.publish()
    assert s.transport.numbers("slow") == list(range(1, 17))
    assert s.transport.numbers("fast") == list(range(1, 101))
    s.transport.drain("slow")
    for _ in range(3):
        s.stream.turn()
    assert s.transport.numbers("slow") == list(range(1, 101))


def test_a_client_that_is_too_slow_for_too_long_is_reset(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=16, ring_events=20, replay_limit=50)
    s.join("slow")
    s.transport.stall("slow")
    for _ in range(70):
        s.publish()
    assert s.story("slow") == ["subscribed", *map(str, range(1, 17)), "reset lag"]
    s.transport.drain("slow")
    s.publish()
    s.stream.turn()
    assert s.story("slow")[-3:] == ["69", "70", "71"]


def test_a_departed_client_gets_nothing_and_is_forgotten(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("a")
    s.publish()
    s.clients["a"].closed = True
    s.publish()
    s.stream.leave(s.clients["a"])
    s.stream.turn()
    assert s.story("a") == ["subscribed", "1"]
    assert s.stream.is_idle


def test_the_departure_of_an_old_connection_leaves_a_new_one_of_the_same_name_alone(
    scene: Callable[..., Scene],
) -> None:
    s = scene()
    s.join("a")
    s.stream.leave(Client("a"))
    s.publish()
    assert s.story("a") == ["subscribed", "1"]


def test_an_idle_room_is_sent_its_head(scene: Callable[..., Scene]) -> None:
    s = scene(head_interval=0.000001)
    s.reader.write(4)
    s.join("a")
    s.stream.turn()
    assert s.story("a") == ["subscribed", "head 4"]


def test_a_room_with_events_is_not_sent_its_head(scene: Callable[..., Scene]) -> None:
    s = scene(head_interval=3600.0)
    s.join("a")
    for _ in range(10):
        s.publish()
    assert s.story("a") == ["subscribed", *map(str, range(1, 11))]
