"""To join many instances costs each of them one look at the database, however many there are already."""

from __future__ import annotations

import pytest

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.core.ledger.publisher import instance_channel
from swallowtail.app.delivery.hub import Hub
from tests.delivery.fakes import FakeArchive, FakeTransport
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until


class CountingArchive(FakeArchive):
    """Counts the heads that were read."""

    looked_at = 0

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        self.looked_at += len(instance_ids)
        return super().read_heads(instance_ids)


class Crowd:
    """A hub on paper whose instances are joined one after another, each confirmed by Redis, and then looked at."""

    def __init__(self, head_check: float = 3600.0) -> None:
        settings = make_settings(head_check=head_check, max_subscriptions=100_000)
        self.archive = CountingArchive(settings)
        self.hub = Hub(settings, self.archive, FakeTransport())
        self.settings = settings
        self.hub.enter("a")

    def join(self, instance_id: str) -> None:
        self.hub.subscribe("a", instance_id, None, lambda _: None)
        self.confirm(instance_id)

    def confirm(self, instance_id: str) -> None:
        self.hub._joined(instance_channel(self.settings, instance_id))

    def close(self) -> None:
        self.hub.stop()
        self.hub.leave("a")
        wait_until(lambda: not self.hub._watches, "every watch has ended")


def _looks(instances: int) -> int:
    crowd = Crowd()
    try:
        for number in range(instances):
            crowd.join(f"i{number}")
            crowd.hub.check.look_at_doubted()
        return crowd.archive.looked_at
    finally:
        crowd.close()


@pytest.mark.parametrize("instances", [50, 200])
def test_who_joins_many_instances_has_each_looked_at_once(instances: int) -> None:
    assert _looks(instances) == instances


def test_a_connection_that_was_made_again_has_all_looked_at_in_one_comparison() -> None:
    crowd = Crowd()
    for number in range(50):
        crowd.join(f"i{number}")
    crowd.hub.check.look_at_doubted()
    for number in range(50):
        crowd.confirm(f"i{number}")
    crowd.hub.check.look_at_doubted()
    assert crowd.archive.looked_at == 100
    crowd.close()


def test_confirmations_that_never_stop_do_not_put_off_the_look_at_all() -> None:
    crowd = Crowd(head_check=0.05)
    for name in ("heard", "silent"):
        crowd.hub.subscribe("a", name, None, lambda _: None)
    before = crowd.archive.looked_at
    crowd.hub.check.start()

    def both_were_looked_at() -> bool:
        crowd.confirm("heard")
        return crowd.hub._watches["silent"]._known.seq == 3

    crowd.archive.write(3)
    wait_until(both_were_looked_at, "the one that nobody confirms is looked at too")
    assert crowd.archive.looked_at > before
    crowd.close()


def test_an_instance_that_nobody_watches_any_more_is_not_looked_at() -> None:
    crowd = Crowd()
    crowd.join("i")
    crowd.hub.unsubscribe("a", "i", lambda: None)
    wait_until(lambda: not crowd.hub._watches, "the watch has ended")
    crowd.hub.check.look_at_doubted()
    assert crowd.archive.looked_at == 0
    crowd.close()


def test_what_could_not_be_looked_at_is_looked_at_with_all() -> None:
    crowd = Crowd()
    crowd.join("i")
    crowd.archive.away = True
    with pytest.raises(Unavailable):
        crowd.hub.check.look_at_doubted()
    crowd.archive.away = False
    crowd.archive.write(2)
    crowd.hub.check.look(list(crowd.hub._watches))
    wait_until(lambda: crowd.hub._watches["i"]._known.seq == 2, "the head is known")
    crowd.close()
