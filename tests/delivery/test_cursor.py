"""A cursor collects the next events, and live state is sent between two events or not at all."""

from __future__ import annotations

from typing import Any

from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.cursor import Cursor
from swallowtail.app.delivery.clients.live_states import LiveStates
from swallowtail.app.delivery.wire import Entry
from tests.delivery.fakes import FakeFrame


def entry(seq: int, *, task: str = "t", progress: float = 0.0, attempt: int = 1) -> Entry:
    return Entry(seq, task, attempt, progress, FakeFrame("task_update", {"seq": seq}))


def cursor(seq: int = 0) -> Cursor:
    return Cursor(Client("c"), "one", seq)


def seqs(frames: Any) -> list[int]:
    return [frame.payload["seq"] for frame in frames]


def offer(live: LiveStates, progress: float, *, base: int, rev: int, task: str = "t", attempt: int = 1) -> bool:
    wire = {"task_id": task, "attempt": attempt, "rev": rev, "data": {"progress": progress}}
    return live.offer(base, wire, FakeFrame("task_update", wire))


def seen(live: LiveStates, place: Cursor) -> list[float]:
    return [frame.payload["data"]["progress"] for frame in live.collect(place)]  # type: ignore[attr-defined]


def test_takes_the_next_and_moves_past_it() -> None:
    place = cursor(2)
    assert seqs(place.collect([entry(1), entry(2), entry(3), entry(4)], 10)) == [3, 4]
    assert place.seq == 4
    assert seqs(place.collect([entry(3), entry(4)], 10)) == []


def test_takes_no_more_than_its_limit_and_continues_from_there() -> None:
    place = cursor()
    line = [entry(number) for number in range(1, 6)]
    assert seqs(place.collect(line, 2)) == [1, 2]
    assert seqs(place.collect(line, 2)) == [3, 4]
    assert seqs(place.collect(line, 2)) == [5]


def test_takes_nothing_across_a_gap() -> None:
    place = cursor(1)
    assert seqs(place.collect([entry(3), entry(4)], 10)) == []
    assert place.seq == 1


def test_live_state_waits_for_the_event_it_was_measured_after() -> None:
    live, place = LiveStates(), cursor(4)
    assert offer(live, 40, base=5, rev=1)
    assert seen(live, place) == []
    place.collect([entry(5)], 1)
    assert seen(live, place) == [40]
    assert seen(live, place) == []


def test_live_state_is_void_once_a_later_event_of_its_task_is_out() -> None:
    live, place = LiveStates(), cursor(6)
    offer(live, 40, base=5, rev=1)
    live.settle([entry(6, progress=50)], 1)
    assert seen(live, place) == []
    assert not offer(live, 45, base=5, rev=2)
    assert offer(live, 60, base=6, rev=3)
    assert seen(live, place) == [60]


def test_events_of_other_tasks_leave_it_alone() -> None:
    live, place = LiveStates(), cursor(6)
    offer(live, 40, base=5, rev=1)
    live.settle([entry(6, task="u")], 1)
    assert seen(live, place) == [40]


def test_only_the_latest_value_of_each_task_is_kept() -> None:
    live, place = LiveStates(), cursor(9)
    for step in range(1, 1000):
        offer(live, step / 10, base=5, rev=step)
        offer(live, step / 20, base=6, rev=step, task="u")
    assert seen(live, place) == [99.9, 49.95]


def test_progress_never_goes_back_within_an_attempt() -> None:
    live, place = LiveStates(), cursor(9)
    live.settle([entry(5, progress=50)], 1)
    assert not offer(live, 40, base=5, rev=1)
    assert offer(live, 55, base=5, rev=2)
    assert not offer(live, 54, base=5, rev=3)
    assert not offer(live, 60, base=5, rev=2)
    assert seen(live, place) == [55]
    live.settle([entry(6), entry(7, attempt=2)], 1)
    assert not offer(live, 90, base=7, rev=9, attempt=1)
    assert offer(live, 10, base=7, rev=1, attempt=2)
    assert seen(live, place) == [10]


def test_a_new_cursor_is_not_sent_earlier_live_state() -> None:
    live = LiveStates()
    offer(live, 40, base=5, rev=1)
    place = Cursor(Client("c"), "one", 9, live.stamp)
    assert seen(live, place) == []
    offer(live, 41, base=5, rev=2)
    assert seen(live, place) == [41]


def test_states_beyond_the_end_of_the_log_are_forgotten() -> None:
    live, place = LiveStates(), cursor(50)
    offer(live, 40, base=20, rev=7)
    live.drop_after(10)
    assert seen(live, place) == []
    assert offer(live, 5, base=10, rev=1)


def test_memory_does_not_grow_with_tasks_that_are_over() -> None:
    live = LiveStates()
    for seq in range(1, 20_000):
        live.settle([entry(seq, task=f"t{seq}")], max(seq - 100, 1))
    assert len(live._marks) <= 512
