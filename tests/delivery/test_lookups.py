"""Where subscriptions start is looked up at once for different instances, and one by one for the same one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.fakes import INSTANCE, FakeReader, FakeTransport
from tests.harness.settings import make_settings

#: More than the number of locks that all instances once shared.
MANY = 257


class MeetingReader(FakeReader):
    """Lets no lookup return before as many as `together` are under way."""

    together = threading.Barrier(1)

    def read_start(self, instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        self.together.wait(timeout=20)
        return super().read_start(instance_id, since, view)


@pytest.fixture
def reader() -> MeetingReader:
    return MeetingReader()


@pytest.fixture
def hub(reader: MeetingReader) -> Iterator[Hub]:
    hub = Hub(make_settings(), reader, FakeTransport())
    for number in range(MANY):
        hub.clients.add(f"c{number}")
    yield hub
    for number in range(MANY):
        hub.subscriptions.disconnect(f"c{number}")


def subscribe_all(hub: Hub, instances: list[str]) -> None:
    """Subscribe a client to each of the instances, all at once."""
    with ThreadPoolExecutor(len(instances)) as pool:
        done = [
            pool.submit(hub.subscriptions.subscribe, f"c{number}", instance_id, None, lambda _: None)
            for number, instance_id in enumerate(instances)
        ]
    for each in done:
        each.result()


def test_different_instances_are_looked_up_at_once(hub: Hub, reader: MeetingReader) -> None:
    """With locks shared by hash, clients of unrelated instances waited for each other's reads of the database."""
    reader.together = threading.Barrier(MANY)
    subscribe_all(hub, [f"i{number}" for number in range(MANY)])
    assert len(hub.streams.by_instance) == MANY


def test_one_instance_is_looked_up_once(hub: Hub, reader: MeetingReader) -> None:
    """A lookup that others do not wait for makes each of them read the database."""
    reader.together = threading.Barrier(1, action=lambda: reads.append(1))
    reads: list[int] = []
    subscribe_all(hub, [INSTANCE] * 20)
    assert reads == [1]


def test_a_lookup_leaves_no_lock_behind(hub: Hub, reader: MeetingReader) -> None:
    """A lock kept for each instance ever asked for makes the process grow, also when its lookup failed."""
    hub.subscriptions.subscribe("c0", INSTANCE, None, lambda _: None)
    reader.away = True
    with pytest.raises(Unavailable):
        hub.subscriptions.subscribe("c0", "another", None, lambda _: None)
    assert dict(hub.subscriptions._lookups) == {}
