"""The public signals: every committed event once, in the order of its number, from any thread or entry point."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from swallowtail import signals
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.event_order import EventOrder
from tests.core.conftest import NewDomain
from tests.core.domain import Domain, new_task, numbers

THREADS, EACH = 8, 12


def event(seq: int, instance_id: str = "demo") -> EventRecord:
    return EventRecord(instance_id, seq, "e", f"{instance_id}{seq}", "t", "task_update", 1, {})


@pytest.fixture
def order() -> tuple[EventOrder, list[tuple[str, int]]]:
    """Return an order, and the events that it has sent."""
    sent: list[tuple[str, int]] = []
    return EventOrder(lambda events: sent.extend((each.instance_id, each.seq) for each in events)), sent


def test_events_are_sent_in_the_order_of_their_numbers_and_not_of_their_commits(
    order: tuple[EventOrder, list[tuple[str, int]]],
) -> None:
    queues, sent = order
    first, second, third = (queues.reserve([event(seq)]) for seq in (1, 2, 3))
    queues.settle(third, is_committed=True)
    queues.settle(second, is_committed=True)
    assert sent == []
    queues.settle(first, is_committed=True)
    assert sent == [("demo", 1), ("demo", 2), ("demo", 3)]
    assert queues._queues == {}


def test_a_rolled_back_batch_is_not_sent_and_delays_no_other(order: tuple[EventOrder, list[tuple[str, int]]]) -> None:
    queues, sent = order
    first, second = queues.reserve([event(1)]), queues.reserve([event(1)])
    queues.settle(second, is_committed=True)
    queues.settle(first, is_committed=False)
    queues.settle(first, is_committed=True)
    assert sent == [("demo", 1)]


def test_instances_do_not_wait_for_each_other(order: tuple[EventOrder, list[tuple[str, int]]]) -> None:
    queues, sent = order
    first = queues.reserve([event(1)])
    both = queues.reserve([event(2), event(1, "other"), event(3)])
    queues.settle(both, is_committed=True)
    assert sent == [("other", 1)]
    queues.settle(first, is_committed=True)
    assert sent == [("other", 1), ("demo", 1), ("demo", 2), ("demo", 3)]


class InterruptedLock:
    """A lock whose release is followed by an interrupt, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_armed = True

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self.is_armed:
            self.is_armed = False
            raise KeyboardInterrupt


def test_an_interrupt_before_the_first_event_delays_no_later_one(
    order: tuple[EventOrder, list[tuple[str, int]]],
) -> None:
    """Kind of fault: a mark that is set before the `try` that removes it."""
    queues, sent = order
    first, second = queues.reserve([event(1)]), queues.reserve([event(2)])
    lock: Any = InterruptedLock()
    queues._lock = lock
    with pytest.raises(KeyboardInterrupt):
        queues.settle(first, is_committed=True)
    queues.settle(second, is_committed=True)
    assert sent == [("demo", 1), ("demo", 2)]


@pytest.fixture
def domain(new_domain_on: NewDomain) -> Domain:
    return new_domain_on()


@pytest.fixture
def seen(domain: Domain) -> Iterator[list[EventRecord]]:
    """Return the events that a receiver of the user has received."""
    received: list[EventRecord] = []

    def receive(sender: object, events: Sequence[EventRecord]) -> None:
        received.extend(events)

    signals.event_recorded.connect(receive, domain.db)
    yield received
    signals.event_recorded.disconnect(receive)


def test_threads_that_commit_at_once_send_in_the_order_of_the_numbers(domain: Domain, seen: list[EventRecord]) -> None:
    def write() -> None:
        for _ in range(EACH):
            domain.ledger.submit(new_task())

    threads = [threading.Thread(target=write) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert numbers(seen) == list(range(1, THREADS * EACH + 1))
    assert seen == domain.events()


def test_a_receiver_that_raises_is_logged_and_keeps_no_other_from_the_event(
    domain: Domain, seen: list[EventRecord], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sender: object, events: Sequence[EventRecord]) -> None:
        raise LookupError("the receiver broke")

    signals.event_recorded.connect(fail, domain.db)
    domain.submit()
    assert numbers(seen) == [1]
    assert caplog.text.count("LookupError: the receiver broke") == 1


def test_the_events_of_a_receivers_own_write_follow_the_event_that_it_received(domain: Domain) -> None:
    seen: list[int] = []

    def write(sender: object, events: Sequence[EventRecord]) -> None:
        seen.extend(numbers(events))
        if len(seen) < 3:
            domain.submit()

    signals.event_recorded.connect(write, domain.db)
    domain.submit()
    assert seen == [1, 2, 3]


def test_sweeps_and_reports_pass_the_signals_too(domain: Domain, seen: list[EventRecord]) -> None:
    lost, late = domain.running(), domain.submit()
    domain.proposals.lost(lost.task_id, 1, {"code": "worker_lost", "message": "gone"})
    domain.overdue(late)
    domain.ledger.expire()
    domain.ledger.request_cancel(lost.task_id)
    assert seen == domain.events()
    assert seen[-1].data["status"] == "CANCELLED"
