"""The check of costs at four times the size: quadratic work fails it, and garbage collection does not count."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from tests.harness.scaling import check_scaling


def linear(size: int) -> None:
    sum(range(size))


def square(size: int) -> None:
    for _ in range(size):
        linear(size)


def coarse() -> float:
    """The time of a clock that ticks every 10 ms."""
    return time.process_time() // 0.01 * 0.01


def test_linear_growth_passes() -> None:
    for size in (1, 1_000, 100_000):
        check_scaling(linear, lambda size: size, size)
        check_scaling(linear, lambda size: size, size, coarse)


@pytest.mark.parametrize("clock", [time.process_time, coarse])
def test_quadratic_growth_fails(clock: Callable[[], float]) -> None:
    with pytest.raises(AssertionError, match=r"four times the size costs \d\d\.\d times as much"):
        check_scaling(square, lambda size: size, 200, clock)


def test_no_collection_of_garbage_is_measured() -> None:
    seen = []

    def work(size: int) -> None:
        seen.append(gc.isenabled())
        linear(size)

    check_scaling(work, lambda size: size, 10_000)
    assert (set(seen), gc.isenabled()) == ({False}, True)
    with pytest.raises(ZeroDivisionError):
        check_scaling(lambda size: 1 / (size - 4), lambda size: size, 1)
    assert gc.isenabled()
