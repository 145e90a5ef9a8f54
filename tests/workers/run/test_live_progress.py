"""Live progress with a clock that the test sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from swallowtail.app.core.events import LiveState
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.signals import progressed
from swallowtail.workers.run.live_progress import LiveProgress

CLAIM = Claim("t", "demo", "test", None, 1, "token", 20.0, 7)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def published() -> Iterator[list[LiveState]]:
    states: list[LiveState] = []

    def keep(sender: object, state: LiveState) -> None:
        states.append(state)

    progressed.connect(keep)
    yield states
    progressed.disconnect(keep)


def shown(states: list[LiveState]) -> list[tuple[Any, ...]]:
    return [(state.rev, state.base_seq, state.data["progress"], state.data["message"]) for state in states]


def test_a_flood_is_thinned_out_and_its_last_value_published(published: list[LiveState]) -> None:
    clock, woken = Clock(), []
    live = LiveProgress(CLAIM, 10.0, lambda: woken.append(clock.now), clock)
    for percent in range(21, 61):
        live.report(percent, f"at {percent}")
    assert shown(published) == [(1, 7, 21, "at 21")]
    assert woken == [100.0]
    assert live.flush() == pytest.approx(0.1)
    clock.now += 0.1
    assert live.flush() is None
    assert shown(published)[1:] == [(2, 7, 60, "at 60")]


def test_it_never_goes_back_and_stays_within_bounds(published: list[LiveState]) -> None:
    live = LiveProgress(CLAIM, 10.0, clock=Clock())
    live.report(-5, "")
    assert live.current() == (20.0, "")
    assert live.raise_to(250, None) == 100.0
    with pytest.raises(ValueError, match="0 to 100"):
        live.report(float("nan"), "")


def test_the_row_gets_a_value_once_and_never_an_old_message(published: list[LiveState]) -> None:
    live = LiveProgress(CLAIM, 10.0, clock=Clock())
    live.report(30, "Reading")
    assert live.current() == (30, "Reading")
    assert live.take_pending() == (30, "Reading")
    assert live.take_pending() is None
    live.report(40, "Writing")
    live.raise_to(50, "Written")
    assert live.take_pending() is None
    assert live.current() == (50, "")


def test_progress_after_an_event_names_that_event(published: list[LiveState]) -> None:
    live = LiveProgress(CLAIM, 10.0, clock=Clock())
    live.note_event(9, "e")
    live.note_event(8, "e")
    live.report(30, "")
    assert (published[0].base_seq, published[0].epoch) == (9, "e")


def test_after_a_new_epoch_progress_names_events_of_that_epoch(published: list[LiveState]) -> None:
    live = LiveProgress(CLAIM, 10.0, clock=Clock())
    live.note_event(9, "e")
    live.note_event(2, "f")
    live.report(30, "")
    assert (published[0].base_seq, published[0].epoch) == (2, "f")


def test_nothing_is_published_after_the_end(published: list[LiveState]) -> None:
    live = LiveProgress(CLAIM, 10.0, clock=Clock())
    live.close()
    live.report(30, "")
    assert published == []
