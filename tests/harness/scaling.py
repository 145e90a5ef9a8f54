"""Checks that four times as much work takes at most six times the processor time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: What four times the size may cost: a little more than four, for what is `n log n` and for noise.
RATIO = 6.0
#: Processor seconds that the work of each size is repeated for, try by try. Some clocks tick only every 10 ms.
ENOUGH = (0.02, 0.06, 0.18)


def check_scaling(
    work: Callable[[T], object],
    make: Callable[[int], T],
    size: int,
    clock: Callable[[], float] = time.process_time,
) -> None:
    """Raise AssertionError if `work(make(4 * size))` costs more than six times what `work(make(size))` does.

    `work` may be called any number of times on the same value.
    """
    small, large = make(size), make(4 * size)
    ratios = []
    with _no_collection():
        for enough in ENOUGH:
            ratios.append(_cost(work, large, enough, clock) / _cost(work, small, enough, clock))
            if ratios[-1] <= RATIO:
                return
    raise AssertionError(f"four times the size costs {min(ratios):.1f} times as much")


def _cost(work: Callable[[T], object], value: T, enough: float, clock: Callable[[], float]) -> float:
    """Processor seconds of one call, the mean of as many as cost `enough` together."""
    calls, begun = 0, clock()
    while True:
        work(value)
        calls += 1
        spent = clock() - begun
        if spent >= enough:
            return spent / calls


@contextmanager
def _no_collection() -> Iterator[None]:
    """A collection looks at all that the process has ever made, and not only at what is measured."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
