"""Fixtures with a bench for each test, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine

from tests.harness.closed_objects import closing_all
from tests.identity.bench import Bench

NewBench = Callable[..., Bench]

START = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Stop the clock at `START`; the test moves it."""
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def new_bench(tmp_path: Path) -> Iterator[NewBench]:
    """Make benches on the same database; all are closed at the end of the test."""

    def make(**values: Any) -> Bench:
        return Bench(tmp_path, **values)

    yield from closing_all(make)


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """Return a bench with the user `ann`."""
    bench = new_bench()
    bench.add("ann")
    return bench
