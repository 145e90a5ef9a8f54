"""Clients that subscribe, unsubscribe and drop quickly, and logs that are pruned or restarted while clients read them.

With a real database, Redis and hub; each race is also run with a broken delivery.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.log.database_reader import DatabaseReader, Page
from swallowtail.app.delivery.wire import Since, SubscriptionStart
from tests.delivery.races.checked_clients import FROM_NOTHING, Domain, Viewer
from tests.delivery.races.client_rule import Screen
from tests.delivery.races.faulty_deliveries import (
    EpochBlindReader,
    ForgetfulHub,
    TalkativeHub,
    silent_epochs,
    silent_skips,
)
from tests.delivery.races.log_changes import begin_epoch, note, prune
from tests.harness.deployment import Deployment
from tests.harness.waiting import GaveUp, wait_until
from tests.journey.event_writer import Author, BusyAuthor

pytestmark = pytest.mark.service

#: How long, in seconds, a broken delivery is waited for; a correct one gets more time.
BROKEN = 3.0


@pytest.fixture
def deployment(new_deployment: Callable[..., Deployment]) -> Deployment:
    return new_deployment(env={"head_check": 0.1, "head_interval": 0.2, "ring_events": 20, "client_backlog": 16})


def come_and_go(deployment: Deployment, hub: type[Hub]) -> list[str]:
    """Let viewers subscribe and unsubscribe repeatedly while events are written; return the faults."""
    author = Author(deployment)
    author.play()
    with Domain(deployment, hub=hub) as domain:
        viewers = [domain.viewer(f"v{number}", author.instance_id) for number in range(5)]
        with BusyAuthor(author, pause=0.0):
            for viewer in viewers:
                for _ in range(10):
                    viewer.subscribe()
                    viewer.unsubscribe()
        for viewer in viewers:
            viewer.subscribe(FROM_NOTHING)
        author.play()
        domain.settle()
        assert domain.cursors() == len(viewers)
        return [fault for viewer in viewers for fault in viewer.faults()]


def test_nothing_follows_an_unsubscription_and_the_last_request_counts(deployment: Deployment) -> None:
    assert come_and_go(deployment, Hub) == []


def test_control_confirming_an_unsubscription_before_the_end_is_caught(deployment: Deployment) -> None:
    assert any("without a subscription" in fault for fault in come_and_go(deployment, TalkativeHub))


class DroppingReader(DatabaseReader):
    """Runs an action after a subscription's start was read and before it is used."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.in_the_middle: Callable[[], None] = lambda: None

    def read_start(self, instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        start = super().read_start(instance_id, since, view)
        self.in_the_middle()
        return start


def always_reading(hub: type[Hub]) -> type[Hub]:
    """Return a hub that reads the database for every subscription, so that a drop can interrupt it."""

    class ReadingHub(hub):  # type: ignore[misc,valid-type] # a class for each hub
        def __init__(self, *parts: Any) -> None:
            super().__init__(*parts)
            self.subscriptions.subscribe_now = lambda *_: False

    return ReadingHub


def drop_while_subscribing(deployment: Deployment, hub: type[Hub]) -> int:
    """Drop a hundred connections in the middle of their subscriptions; return how many cursors are left."""
    author = Author(deployment)
    author.play()
    with Domain(deployment, reader=DroppingReader, hub=always_reading(hub)) as domain:
        witness = domain.viewer("witness", author.instance_id)
        witness.subscribe(FROM_NOTHING)
        reader = domain.reader
        assert isinstance(reader, DroppingReader)
        for number in range(100):
            _subscribe_and_drop(domain, reader, f"d{number}", author.instance_id, number % 3)
        author.play()
        domain.settle(witness)
        try:
            wait_until(lambda: domain.cursors() == 1, "only the witness is left", timeout=60 if hub is Hub else BROKEN)
        except GaveUp:
            return domain.cursors() - 1
        return 0


def _subscribe_and_drop(domain: Domain, reader: DroppingReader, name: str, instance_id: str, where: int) -> None:
    """Drop after the read, during the start, or in another thread at any moment."""
    domain.hub.clients.add(name)
    thread = threading.Thread(target=domain.hub.subscriptions.disconnect, args=(name,))
    if where == 0:
        reader.in_the_middle = lambda: domain.hub.subscriptions.disconnect(name)
    elif where == 1:
        reader.in_the_middle = thread.start
    domain.hub.subscriptions.subscribe(
        name, instance_id, None, lambda _: domain.hub.subscriptions.disconnect(name) if where == 2 else None
    )
    reader.in_the_middle = lambda: None
    if where == 1:
        thread.join()


def test_a_drop_during_a_subscription_leaves_no_cursor(deployment: Deployment) -> None:
    assert drop_while_subscribing(deployment, Hub) == 0


@pytest.mark.long
def test_control_keeping_departed_clients_is_caught(deployment: Deployment) -> None:
    assert drop_while_subscribing(deployment, ForgetfulHub) > 0


class PrunedReader(DatabaseReader):
    """Prunes the log between two pages of a replay."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.pages = 0
        self.strike: Callable[[], None] = lambda: None

    def read_page(self, instance_id: str, after: int) -> Page:
        self.pages += 1
        if self.pages == 3:
            self.strike()
        return super().read_page(instance_id, after)


def prune_during_replay(deployment: Deployment) -> tuple[list[str], list[str]]:
    """Prune a long log during its replays; return the faults, and the reasons of the resets."""
    author = Author(deployment)
    task_id = author.submit()
    for _ in range(30):
        note(author.rt, task_id, 100)
    epoch = author.epoch
    with Domain(deployment, reader=PrunedReader) as domain:
        reader = domain.reader
        assert isinstance(reader, PrunedReader)
        reader.strike = lambda: prune(domain.rt, author.instance_id, 500)
        viewers = [domain.viewer(f"v{number}", author.instance_id) for number in range(5)]
        slow = domain.viewer("slow", author.instance_id)
        domain.transport.stall("slow.0")
        slow.subscribe(Since(epoch, 5))
        for viewer in viewers:
            viewer.subscribe(Since(epoch, 0))
        domain.settle(*viewers)
        note(author.rt, task_id, 40)
        prune(domain.rt, author.instance_id, 10)
        domain.transport.drain("slow.0")
        note(author.rt, task_id, 3)
        domain.settle(*viewers, slow)
        assert reader.pages >= 3
        faults = [fault for viewer in (*viewers, slow) for fault in viewer.faults()]
        return faults + _wrong_screens(domain, [*viewers, slow]), _resets(domain)


def _wrong_screens(domain: Domain, viewers: list[Viewer]) -> list[str]:
    screen = _without_notes(Screen(domain.snapshot(viewers[0].instance_id)))
    return [
        f"{viewer.name} shows {viewer.screen.tasks}" for viewer in viewers if _without_notes(viewer.screen) != screen
    ]


def _without_notes(screen: Screen) -> dict[str, Any]:
    """Return tasks without the messages of these tests' notes, which no row has."""
    return {task_id: {**task, "message": ""} for task_id, task in screen.tasks.items()}


def _resets(domain: Domain) -> list[str]:
    return [
        frame.payload["reason"] for sent in domain.transport.sent.values() for frame in sent if frame.event == "reset"
    ]


def test_retention_during_a_replay_is_a_reset_and_never_a_silent_gap(deployment: Deployment) -> None:
    faults, resets = prune_during_replay(deployment)
    assert faults == []
    assert resets
    assert set(resets) <= {"too_old", "lag"}


def test_control_skipping_pruned_events_is_caught(deployment: Deployment) -> None:
    with silent_skips():
        faults, _ = prune_during_replay(deployment)
    assert any("after" in fault for fault in faults)


def restart(
    deployment: Deployment, *, reader: type[DatabaseReader] = DatabaseReader, mistake: AbstractContextManager[None]
) -> list[str]:
    """Start another epoch of a log with viewers; return the faults."""
    author = Author(deployment)
    author.play()
    with mistake, Domain(deployment, reader=reader) as domain:
        viewers = [domain.viewer(f"v{number}", author.instance_id) for number in range(5)]
        for viewer in viewers[:4]:
            viewer.subscribe(FROM_NOTHING)
        author.play()
        viewers[3].drop()
        begin_epoch(domain.rt, author.instance_id)
        author.play()
        viewers[3].resume()
        viewers[4].subscribe(FROM_NOTHING)
        try:
            domain.settle(timeout=60 if reader is DatabaseReader else BROKEN)
        except GaveUp as late:
            return [str(late)]
        faults = [fault for viewer in viewers for fault in viewer.faults()]
        return faults + _wrong_screens(domain, viewers)


def test_another_epoch_resets_every_client(deployment: Deployment) -> None:
    assert restart(deployment, mistake=nullcontext()) == []


def test_control_another_epoch_without_a_reset_is_caught(deployment: Deployment) -> None:
    assert any("after" in fault for fault in restart(deployment, mistake=silent_epochs()))


@pytest.mark.long
def test_control_numbers_without_their_epoch_are_caught(deployment: Deployment) -> None:
    assert restart(deployment, reader=EpochBlindReader, mistake=nullcontext()) != []
