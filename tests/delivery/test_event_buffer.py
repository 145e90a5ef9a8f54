"""The buffer returns events in the order of their numbers, in whichever order they arrive."""

from __future__ import annotations

import itertools

import pytest

from swallowtail.app.delivery.log.event_buffer import EventBuffer
from swallowtail.app.delivery.wire import Entry
from tests.delivery.fakes import FakeFrame


def make_ring(last: int = 0, *, events: int = 5, size: int = 1_000_000) -> EventBuffer:
    return EventBuffer("one", last, events=events, size=size)


def entries(*numbers: int, size: int = 100) -> list[Entry]:
    return [Entry(number, "t", 1, 0.0, FakeFrame("task_update", {"seq": number}, size)) for number in numbers]


def numbers(taken: list[Entry] | None) -> list[int] | None:
    return None if taken is None else [entry.seq for entry in taken]


def test_takes_what_continues_the_line() -> None:
    ring = make_ring(7)
    assert numbers(ring.offer(entries(8, 9))) == [8, 9]
    assert (ring.first, ring.last, ring.target, ring.has_gap) == (8, 9, 9, False)


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3, 4])))
def test_puts_any_order_of_arrival_right(order: tuple[int, ...]) -> None:
    ring = make_ring()
    taken = [entry.seq for number in order for entry in ring.offer(entries(number))]
    assert taken == [1, 2, 3, 4]
    assert not ring.has_gap


def test_drops_repeats_whether_taken_or_held() -> None:
    ring = make_ring()
    assert numbers(ring.offer(entries(1, 1, 3, 3))) == [1]
    assert numbers(ring.offer(entries(1, 2, 3))) == [2, 3]
    assert numbers(ring.offer(entries(1, 2, 3))) == []


def test_knows_of_a_gap_until_it_is_filled() -> None:
    ring = make_ring()
    ring.offer(entries(3))
    assert (ring.last, ring.target, ring.has_gap) == (0, 3, True)
    ring.offer(entries(1, 2))
    gaps = [ring.has_gap]
    ring.expect(9)
    gaps.append(ring.has_gap)
    ring.correct(3)
    assert [*gaps, ring.has_gap] == [False, True, False]


def test_holds_no_more_early_events_than_it_keeps() -> None:
    ring = make_ring(events=3)
    ring.offer(entries(*range(2, 100)))
    assert numbers(ring.offer(entries(1))) == [1, 2, 3, 4]
    assert ring.target == 99


def test_forgets_the_oldest_beyond_its_number() -> None:
    ring = make_ring(events=3)
    ring.offer(entries(1, 2, 3, 4, 5))
    assert (len(ring), ring.first) == (3, 3)
    assert ring.after(1, 10) is None
    assert numbers(ring.after(2, 10)) == [3, 4, 5]
    assert numbers(ring.after(4, 10)) == [5]
    assert numbers(ring.after(5, 10)) == []
    assert numbers(ring.after(9, 10)) == []
    assert numbers(ring.after(2, 2)) == [3, 4]


def test_forgets_the_oldest_beyond_its_size_but_never_the_last() -> None:
    ring = make_ring(size=1000)
    ring.offer(entries(1, 2, 3, size=400))
    assert (len(ring), ring.first) == (2, 2)
    ring.offer(entries(4, size=5000))
    assert (len(ring), ring.first, ring.last) == (1, 4, 4)
    ring.offer(entries(5, size=10))
    assert (len(ring), ring.first) == (1, 5)


def test_an_empty_ring_serves_only_who_is_abreast() -> None:
    ring = make_ring(7)
    assert (ring.first, ring.last) == (8, 7)
    assert numbers(ring.after(7, 10)) == []
    assert ring.after(6, 10) is None


def test_begins_anew_without_memory() -> None:
    ring = make_ring()
    ring.offer(entries(1, 2, 5))
    ring.restart("two", 1)
    assert (ring.epoch, ring.first, ring.last, ring.target, len(ring)) == ("two", 2, 1, 1, 0)
    assert numbers(ring.offer(entries(5))) == []
    assert numbers(ring.offer(entries(2))) == [2]
