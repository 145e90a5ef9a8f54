"""The buffer returns events in the order of their numbers, in whichever order they arrive."""

from __future__ import annotations

import itertools

import pytest

from swallowtail.app.delivery.log.event_buffer import EventBuffer
from swallowtail.app.delivery.wire import Entry
from tests.delivery.fakes import FakeFrame


def make_buffer(last: int = 0, *, events: int = 5, size: int = 1_000_000) -> EventBuffer:
    return EventBuffer("one", last, events=events, size=size)


def entries(*numbers: int, size: int = 100) -> list[Entry]:
    return [Entry(number, "t", 1, 0.0, FakeFrame("task_update", {"seq": number}, size)) for number in numbers]


def numbers(added: list[Entry] | None) -> list[int] | None:
    return None if added is None else [entry.seq for entry in added]


def test_appends_the_next_event_of_the_sequence() -> None:
    buffer = make_buffer(7)
    assert numbers(buffer.offer(entries(8, 9))) == [8, 9]
    assert (buffer.first, buffer.last, buffer.target, buffer.has_gap) == (8, 9, 9, False)


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3, 4])))
def test_puts_any_order_of_arrival_right(order: tuple[int, ...]) -> None:
    buffer = make_buffer()
    added = [entry.seq for number in order for entry in buffer.offer(entries(number))]
    assert added == [1, 2, 3, 4]
    assert not buffer.has_gap


def test_drops_repeats_whether_taken_or_held() -> None:
    buffer = make_buffer()
    assert numbers(buffer.offer(entries(1, 1, 3, 3))) == [1]
    assert numbers(buffer.offer(entries(1, 2, 3))) == [2, 3]
    assert numbers(buffer.offer(entries(1, 2, 3))) == []


def test_knows_of_a_gap_until_it_is_filled() -> None:
    buffer = make_buffer()
    buffer.offer(entries(3))
    assert (buffer.last, buffer.target, buffer.has_gap) == (0, 3, True)
    buffer.offer(entries(1, 2))
    gaps = [buffer.has_gap]
    buffer.raise_target(9)
    gaps.append(buffer.has_gap)
    buffer.correct(3)
    assert [*gaps, buffer.has_gap] == [False, True, False]


def test_holds_no_more_early_events_than_it_keeps() -> None:
    buffer = make_buffer(events=3)
    buffer.offer(entries(*range(2, 100)))
    assert numbers(buffer.offer(entries(1))) == [1, 2, 3, 4]
    assert buffer.target == 99


def test_forgets_the_oldest_beyond_its_number() -> None:
    buffer = make_buffer(events=3)
    buffer.offer(entries(1, 2, 3, 4, 5))
    assert (len(buffer), buffer.first) == (3, 3)
    assert buffer.after(1, 10) is None
    assert numbers(buffer.after(2, 10)) == [3, 4, 5]
    assert numbers(buffer.after(4, 10)) == [5]
    assert numbers(buffer.after(5, 10)) == []
    assert numbers(buffer.after(9, 10)) == []
    assert numbers(buffer.after(2, 2)) == [3, 4]


def test_forgets_the_oldest_beyond_its_size_but_never_the_last() -> None:
    buffer = make_buffer(size=1000)
    buffer.offer(entries(1, 2, 3, size=400))
    assert (len(buffer), buffer.first) == (2, 2)
    buffer.offer(entries(4, size=5000))
    assert (len(buffer), buffer.first, buffer.last) == (1, 4, 4)
    buffer.offer(entries(5, size=10))
    assert (len(buffer), buffer.first) == (1, 5)


def test_an_empty_buffer_serves_only_a_position_at_its_end() -> None:
    buffer = make_buffer(7)
    assert (buffer.first, buffer.last) == (8, 7)
    assert numbers(buffer.after(7, 10)) == []
    assert buffer.after(6, 10) is None


def test_restarts_empty() -> None:
    buffer = make_buffer()
    buffer.offer(entries(1, 2, 5))
    buffer.restart("two", 1)
    assert (buffer.epoch, buffer.first, buffer.last, buffer.target, len(buffer)) == ("two", 2, 1, 1, 0)
    assert numbers(buffer.offer(entries(5))) == []
    assert numbers(buffer.offer(entries(2))) == [2]
