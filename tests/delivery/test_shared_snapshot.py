"""Clients that reconnect together and too late share one snapshot: read once, encoded once, and right for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.log.snapshot_cache import SnapshotCache
from swallowtail.app.delivery.streams.admission import Admission
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.fakes import INSTANCE, FakeReader, FakeTransport, events_message
from tests.delivery.races.checked_clients import FROM_NOTHING, Domain
from tests.delivery.races.client_rule import Screen
from tests.harness.deployment import Deployment
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author, BusyAuthor


class Scene:
    """A hub on fakes without threads; `read` counts the snapshots that were read."""

    def __init__(self, **fields: Any) -> None:
        self.settings = make_settings(**{"snapshot_share": 60, **fields})
        self.reader = FakeReader(self.settings)
        self.transport = FakeTransport()
        self.hub = Hub(self.settings, self.reader, self.transport)
        self.starts: dict[str, SubscriptionStart] = {}
        self.read = 0
        read_start = self.reader.read_start

        def count(instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
            self.read += 1
            return read_start(instance_id, since, view)

        self.reader.read_start = count  # type: ignore[method-assign]

    def come(self, name: str, since: Since = FROM_NOTHING) -> SubscriptionStart:
        self.hub.clients.add(name)
        self.hub.subscriptions.subscribe(name, INSTANCE, since, lambda start: self.starts.update({name: start}))
        return self.starts[name]

    def publish(self, count: int = 1) -> None:
        stream = self.hub.streams.by_instance[INSTANCE]
        stream.receive(events_message(self.reader.write(count)))
        stream.turn()


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def make(**fields: Any) -> Scene:
        scenes.append(Scene(**fields))
        return scenes[-1]

    yield make
    for each in scenes:
        for name in list(each.hub.clients.by_id):
            each.hub.subscriptions.disconnect(name)


def test_clients_that_come_together_share_one_read(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(5)
    starts = [s.come(f"c{number}", Since("old", number)) for number in range(50)]
    assert s.read == 1
    assert {(start.mode, start.seq) for start in starts} == {("snapshot", 5)}
    assert len({id(start.snapshot) for start in starts}) == 1


def test_each_client_continues_from_the_head_of_its_snapshot(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(5)
    s.come("first")
    s.publish(3)
    assert s.come("second").seq == 5
    s.publish()
    s.hub.streams.by_instance[INSTANCE].turn()
    assert s.transport.numbers("first") == s.transport.numbers("second") == [6, 7, 8, 9]
    assert s.read == 1


def test_a_snapshot_older_than_the_buffer_is_read_again(scene: Callable[..., Scene]) -> None:
    s = scene(ring_events=10)
    s.come("first")
    for _ in range(11):
        s.publish()
    assert s.come("second").seq == 11
    assert s.read == 2


def test_a_client_that_can_be_replayed_or_is_ahead_gets_no_shared_snapshot(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(5)
    s.reader.prune(2)
    s.come("first")
    s.publish(2)
    assert s.come("inside", Since("one", 3)).mode == "replay"
    assert s.come("ahead", Since("one", 7)).mode == "replay"
    assert s.come("beyond", Since("one", 9)).seq == 7
    assert s.come("too old", Since("one", 1)).mode == "snapshot"
    assert s.come("another epoch", Since("two", 6)).mode == "snapshot"


def test_a_snapshot_of_an_epoch_that_is_over_is_not_shared(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.reader.write(5)
    s.come("first")
    s.reader.begin_epoch("two", 1)
    stream = s.hub.streams.by_instance[INSTANCE]
    stream.check(s.reader.head)
    stream.turn()
    start = s.come("second", Since("one", 5))
    assert (start.head.epoch, start.seq) == ("two", 1)


def test_a_snapshot_is_shared_for_its_time_only_and_then_forgotten() -> None:
    reader = FakeReader()
    reader.write(1)
    snapshots = SnapshotCache(reader, 0.05)
    start = reader.read_start(INSTANCE, FROM_NOTHING)
    snapshots.keep(start)
    assert snapshots.find(INSTANCE, FROM_NOTHING) is start
    until = time.monotonic() + 0.06
    while time.monotonic() < until:
        time.sleep(0.01)
    assert snapshots.find(INSTANCE, FROM_NOTHING) is None
    snapshots.tidy()
    assert not snapshots._starts


def test_sharing_can_be_turned_off(scene: Callable[..., Scene]) -> None:
    s = scene(snapshot_share=0)
    for number in range(3):
        s.come(f"c{number}")
    assert s.read == 3


class CountingReader(DatabaseReader):
    """Counts the snapshots that were read."""

    snapshots = 0

    def read_start(self, instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        start = super().read_start(instance_id, since, view)
        self.snapshots += start.snapshot is not None
        return start


def reconnect_together(deployment: Deployment, clients: int = 100) -> tuple[int, float, list[str]]:
    """Subscribe clients in ten threads while events are written; return snapshots read, seconds and faults."""
    author = Author(deployment)
    author.play()
    with Domain(deployment, reader=CountingReader) as domain:
        viewers = [domain.viewer(f"v{number}", author.instance_id) for number in range(clients)]
        began = time.monotonic()
        with BusyAuthor(author, pause=0.01):
            viewers[0].subscribe(FROM_NOTHING)
            first = viewers[0].connections[0]
            # The others come when the first one's snapshot is no longer current.
            wait_until(lambda: domain.transport.numbers(first), "the first receives events after its snapshot")
            threads = [
                threading.Thread(target=lambda part=part: [viewer.subscribe(FROM_NOTHING) for viewer in part])
                for part in (viewers[start::10] for start in range(1, 11))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            duration = time.monotonic() - began
        author.play()
        domain.settle()
        reader = domain.reader
        assert isinstance(reader, CountingReader)
        tasks = Screen(domain.snapshot(author.instance_id)).tasks
        faults = [fault for viewer in viewers for fault in viewer.faults()]
        faults += [f"{viewer.name} shows something else" for viewer in viewers if viewer.screen.tasks != tasks]
        return reader.snapshots, duration, faults


@pytest.fixture
def reconnecting(new_deployment: Callable[..., Deployment]) -> Deployment:
    return new_deployment(env={"head_check": 0.1, "ring_events": 20_000, "snapshot_share": 10})


@pytest.mark.service
def test_many_clients_at_once_amid_continuous_publishing_get_the_truth_from_few_reads(reconnecting: Deployment) -> None:
    read, duration, faults = reconnect_together(reconnecting)
    assert faults == []
    assert read <= 1 + duration / 10


@contextmanager
def continuing_from_now() -> Iterator[None]:
    """The mistake: clients with a shared snapshot continue from the buffer's end instead of the snapshot's head."""
    check = Admission._check_snapshot

    def check_badly(admission: Admission, snapshot: SubscriptionStart | None) -> SubscriptionStart | None:
        start = check(admission, snapshot)
        return None if start is None else replace(start, seq=max(start.seq, admission._intake.buffer.last))

    with patch.object(Admission, "_check_snapshot", check_badly):
        yield


@pytest.mark.long
@pytest.mark.service
def test_control_going_on_from_the_present_is_caught(reconnecting: Deployment) -> None:
    with continuing_from_now():
        _, _, faults = reconnect_together(reconnecting)
    assert faults
