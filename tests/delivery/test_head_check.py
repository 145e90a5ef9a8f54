"""Subscribing to many instances compares each of them once, however many there are already."""

from __future__ import annotations

import pytest

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.core.ledger.publisher import instance_channel
from swallowtail.app.delivery.hub import Hub
from tests.delivery.fakes import FakeReader, FakeTransport
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until


class CountingReader(FakeReader):
    """Counts the heads that were read."""

    compared = 0

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        self.compared += len(instance_ids)
        return super().read_heads(instance_ids)


class SubscribedHub:
    """A hub on fakes that subscribes to one instance after another, each confirmed as by Redis, and then compared."""

    def __init__(self, head_check: float = 3600.0) -> None:
        settings = make_settings(head_check=head_check, max_subscriptions=100_000)
        self.reader = CountingReader(settings)
        self.hub = Hub(settings, self.reader, FakeTransport())
        self.settings = settings
        self.hub.clients.add("a")

    def join(self, instance_id: str) -> None:
        self.hub.subscriptions.subscribe("a", instance_id, None, lambda _: None)
        self.confirm(instance_id)

    def confirm(self, instance_id: str) -> None:
        self.hub.router.joined(instance_channel(self.settings, instance_id))

    def close(self) -> None:
        self.hub.stop()
        self.hub.subscriptions.disconnect("a")
        wait_until(lambda: not self.hub.streams.by_instance, "every stream has ended")


def _comparisons(instances: int) -> int:
    subscribed = SubscribedHub()
    try:
        for number in range(instances):
            subscribed.join(f"i{number}")
            subscribed.hub.head_check.compare_requested()
        return subscribed.reader.compared
    finally:
        subscribed.close()


@pytest.mark.parametrize("instances", [50, 200])
def test_many_new_subscriptions_have_each_instance_compared_once(instances: int) -> None:
    assert _comparisons(instances) == instances


def test_after_a_reconnection_all_streams_are_compared_at_once() -> None:
    subscribed = SubscribedHub()
    for number in range(50):
        subscribed.join(f"i{number}")
    subscribed.hub.head_check.compare_requested()
    for number in range(50):
        subscribed.confirm(f"i{number}")
    subscribed.hub.head_check.compare_requested()
    assert subscribed.reader.compared == 100
    subscribed.close()


def test_confirmations_that_never_stop_do_not_postpone_the_comparison_of_all() -> None:
    subscribed = SubscribedHub(head_check=0.05)
    for name in ("confirmed", "silent"):
        subscribed.hub.subscriptions.subscribe("a", name, None, lambda _: None)
    before = subscribed.reader.compared
    subscribed.hub.head_check.start()

    def both_were_compared() -> bool:
        subscribed.confirm("confirmed")
        return subscribed.hub.streams.by_instance["silent"].intake.head.seq == 3

    subscribed.reader.write(3)
    wait_until(both_were_compared, "the one without a confirmation is compared too")
    assert subscribed.reader.compared > before
    subscribed.close()


def test_an_instance_without_clients_is_not_compared() -> None:
    subscribed = SubscribedHub()
    subscribed.join("i")
    subscribed.hub.subscriptions.unsubscribe("a", "i", lambda: None)
    wait_until(lambda: not subscribed.hub.streams.by_instance, "the stream has ended")
    subscribed.hub.head_check.compare_requested()
    assert subscribed.reader.compared == 0
    subscribed.close()


def test_an_instance_that_could_not_be_compared_is_compared_with_all() -> None:
    subscribed = SubscribedHub()
    subscribed.join("i")
    subscribed.reader.away = True
    with pytest.raises(Unavailable):
        subscribed.hub.head_check.compare_requested()
    subscribed.reader.away = False
    subscribed.reader.write(2)
    subscribed.hub.head_check.compare(list(subscribed.hub.streams.by_instance))
    wait_until(lambda: subscribed.hub.streams.by_instance["i"].intake.head.seq == 2, "the head is known")
    subscribed.close()
