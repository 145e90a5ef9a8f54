"""Races between subscriptions and writes, between publishers, with rollbacks, and with deaths before the publish.

With a real database, Redis and hub. Each race is also run with a broken delivery, which the same check must catch.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from swallowtail.app.core.runtime import Runtime
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from tests.delivery.races.checked_clients import Domain, Viewer
from tests.delivery.races.faulty_deliveries import FixedReader, LateReader, RoomHub
from tests.delivery.races.log_changes import Overtaking, author_with, note, note_and_undo
from tests.harness.deployment import Deployment
from tests.harness.program import clean_environment
from tests.harness.waiting import GaveUp, wait_until
from tests.journey.event_writer import Author, BusyAuthor

pytestmark = pytest.mark.service

VIEWERS, THREADS = 200, 8
#: How long, in seconds, a broken delivery is waited for; a correct one gets more time.
BROKEN = 3.0


@pytest.fixture
def deployment(new_deployment: Callable[..., Deployment]) -> Deployment:
    return new_deployment(env={"head_check": 0.1, "ring_events": 50})


def in_threads(works: list[Callable[[], None]]) -> None:
    """Run all at once; raise the first error."""
    errors: list[BaseException] = []

    def guard(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guard, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def come_while_events_are_written(deployment: Deployment, **broken: Any) -> list[str]:
    """Let two hundred viewers subscribe, drop and resume while an author writes; return the faults."""
    author = Author(deployment)
    author.play()
    with Domain(deployment, **broken) as domain:
        viewers = [domain.viewer(f"v{number}", author.instance_id) for number in range(VIEWERS)]

        def visit(first: int) -> None:
            luck = random.Random(first)
            for viewer in viewers[first::THREADS]:
                viewer.subscribe()
                if luck.random() < 0.3:
                    viewer.drop()
                    viewer.resume()

        with BusyAuthor(author, pause=0.0):
            in_threads([lambda first=first: visit(first) for first in range(THREADS)])  # type: ignore[misc]
        return verdict(domain, author, viewers, patience=BROKEN if broken else 60.0)


def verdict(domain: Domain, author: Author, viewers: list[Viewer], *, patience: float = 60.0) -> list[str]:
    """Return the faults once writing has ended: forbidden messages, missing events, events that are not in the log."""
    faults = []
    try:
        domain.settle(*viewers, timeout=patience)
    except GaveUp as late:
        faults.append(str(late))
    published = {event["seq"]: event for event in author.events}
    for viewer in viewers:
        faults += viewer.faults()
        if any(event != published.get(event["seq"]) for event in viewer.log):
            faults.append(f"{viewer.name} received an event that is not in the log")
        numbers = [event["seq"] for event in viewer.log]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers)) if numbers else ()):
            faults.append(f"{viewer.name} applied {numbers}")
    return faults


def test_two_hundred_viewers_that_come_while_events_are_written_miss_nothing(deployment: Deployment) -> None:
    assert come_while_events_are_written(deployment) == []


def test_control_reading_the_head_before_joining_is_caught(deployment: Deployment) -> None:
    assert any("after" in fault for fault in come_while_events_are_written(deployment, reader=LateReader))


def overtake(deployment: Deployment, **broken: Any) -> list[str]:
    """Let the messages of two publishers of one instance arrive in the wrong order; return the faults."""
    first = Author(deployment)
    with Domain(deployment, **broken) as domain:
        overtaking = Overtaking(domain.rt.broadcast.publish)
        authors = [author_with(first, overtaking.announce) for _ in range(2)]
        viewers = [domain.viewer(f"v{number}", first.instance_id) for number in range(10)]
        for viewer in viewers:
            viewer.subscribe()
        try:
            in_threads([lambda author=author: [author.play() for _ in range(20)] for author in authors])  # type: ignore[misc]
            overtaking.flush()
        finally:
            for author in authors:
                author.rt.close()
        return verdict(domain, first, viewers, patience=BROKEN if broken else 60.0)


def test_two_publishers_that_overtake_each_other_are_put_in_order(deployment: Deployment) -> None:
    assert overtake(deployment) == []


@pytest.mark.long
def test_control_passing_on_in_the_order_of_arrival_is_caught(deployment: Deployment) -> None:
    assert any("after" in fault for fault in overtake(deployment, hub=RoomHub))


def roll_back(deployment: Deployment, announce_early: bool) -> list[str]:
    """Roll some transactions back after their events were numbered; return the faults."""
    author = Author(deployment)
    with Domain(deployment) as domain:
        viewer = domain.viewer("v", author.instance_id)
        viewer.subscribe()
        task_id = author.submit()
        rt = _publishes_too_early(domain) if announce_early else domain.rt
        for _ in range(5):
            note_and_undo(rt, task_id, 2)
            if announce_early:
                wait_until(lambda: domain.transport.numbers("v.0")[-1:] > [author.head], "the early message arrives")
            note(domain.rt, task_id, 3)
        faults = verdict(domain, author, [viewer], patience=BROKEN if announce_early else 60.0)
        if len(domain.transport.numbers("v.0")) != author.head:
            faults.append("the viewer received more or fewer events than there are")
        return faults


def _publishes_too_early(domain: Domain) -> Runtime:
    """Return a runtime that publishes inside the transaction."""
    rt = domain.rt
    commit = rt.commit

    class Early:
        @staticmethod
        def commit(work: Callable[[Any], Any]) -> Any:
            def and_publish(change: Any) -> Any:
                number = change.number
                change.number = lambda: _publish(domain, number())
                return work(change)

            return commit(and_publish)

    return Early  # type: ignore[return-value] # all that a note needs


def _publish(domain: Domain, events: Any) -> Any:
    domain.rt.broadcast.publish(events)
    return events


def test_a_rollback_publishes_nothing(deployment: Deployment) -> None:
    assert roll_back(deployment, announce_early=False) == []


def test_control_announcing_before_the_commit_is_caught(deployment: Deployment) -> None:
    assert "v received an event that is not in the log" in roll_back(deployment, announce_early=True)


def die_before_publishing(deployment: Deployment, reader: type[DatabaseReader] = DatabaseReader) -> list[str]:
    """Kill a process after its commit and before its publish; return the faults."""
    author = Author(deployment)
    with Domain(deployment, reader=reader) as domain:
        viewer = domain.viewer("v", author.instance_id)
        viewer.subscribe()
        done = run_killed_author(deployment, author.instance_id)
        assert (done.returncode, author.head) == (-signal.SIGKILL, 1), done.stderr
        if isinstance(domain.reader, FixedReader):
            checks = domain.reader.checks + 5
            wait_until(lambda: domain.reader.checks >= checks, "the heads are compared")  # type: ignore[attr-defined]
        return verdict(domain, author, [viewer], patience=BROKEN if reader is not DatabaseReader else 60.0)


def run_killed_author(deployment: Deployment, instance_id: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.delivery.races.killed_writer", instance_id]
    return subprocess.run(command, env=clean_environment(deployment.env), capture_output=True, text=True, timeout=120)


def test_an_event_whose_process_was_killed_before_publishing_is_found(deployment: Deployment) -> None:
    assert die_before_publishing(deployment) == []


@pytest.mark.long
def test_control_no_head_check_is_caught(deployment: Deployment) -> None:
    (missing,) = die_before_publishing(deployment, FixedReader)
    assert "is current" in missing


@pytest.mark.long
def test_control_hints_alone_are_caught(deployment: Deployment) -> None:
    author = Author(deployment)
    with Domain(deployment, hub=RoomHub) as domain:
        viewer = domain.viewer("v", author.instance_id)
        viewer.subscribe()
        run_killed_author(deployment, author.instance_id)
        author.play()
        wait_until(lambda: domain.transport.numbers("v.0")[-1:] == [author.head], "the later events arrive")
        assert viewer.faults() != []
