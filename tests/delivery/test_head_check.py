"""To join many instances costs each of them one look at the database, however many there are already."""

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

    looked_at = 0

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        self.looked_at += len(instance_ids)
        return super().read_heads(instance_ids)


class Crowd:
    """A hub on paper whose instances are joined one after another, each confirmed by Redis, and then looked at."""

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
        wait_until(lambda: not self.hub.streams.by_instance, "every watch has ended")


def _looks(instances: int) -> int:
    crowd = Crowd()
    try:
        for number in range(instances):
            crowd.join(f"i{number}")
            crowd.hub.head_check.compare_doubted()
        return crowd.reader.looked_at
    finally:
        crowd.close()


@pytest.mark.parametrize("instances", [50, 200])
def test_who_joins_many_instances_has_each_looked_at_once(instances: int) -> None:
    assert _looks(instances) == instances


def test_a_connection_that_was_made_again_has_all_looked_at_in_one_comparison() -> None:
    crowd = Crowd()
    for number in range(50):
        crowd.join(f"i{number}")
    crowd.hub.head_check.compare_doubted()
    for number in range(50):
        crowd.confirm(f"i{number}")
    crowd.hub.head_check.compare_doubted()
    assert crowd.reader.looked_at == 100
    crowd.close()


def test_confirmations_that_never_stop_do_not_put_off_the_look_at_all() -> None:
    crowd = Crowd(head_check=0.05)
    for name in ("heard", "silent"):
        crowd.hub.subscriptions.subscribe("a", name, None, lambda _: None)
    before = crowd.reader.looked_at
    crowd.hub.head_check.start()

    def both_were_looked_at() -> bool:
        crowd.confirm("heard")
        return crowd.hub.streams.by_instance["silent"].intake.head.seq == 3

    crowd.reader.write(3)
    wait_until(both_were_looked_at, "the one that nobody confirms is looked at too")
    assert crowd.reader.looked_at > before
    crowd.close()


def test_an_instance_that_nobody_watches_any_more_is_not_looked_at() -> None:
    crowd = Crowd()
    crowd.join("i")
    crowd.hub.subscriptions.unsubscribe("a", "i", lambda: None)
    wait_until(lambda: not crowd.hub.streams.by_instance, "the watch has ended")
    crowd.hub.head_check.compare_doubted()
    assert crowd.reader.looked_at == 0
    crowd.close()


def test_what_could_not_be_looked_at_is_looked_at_with_all() -> None:
    crowd = Crowd()
    crowd.join("i")
    crowd.reader.away = True
    with pytest.raises(Unavailable):
        crowd.hub.head_check.compare_doubted()
    crowd.reader.away = False
    crowd.reader.write(2)
    crowd.hub.head_check.compare(list(crowd.hub.streams.by_instance))
    wait_until(lambda: crowd.hub.streams.by_instance["i"].intake.head.seq == 2, "the head is known")
    crowd.close()
