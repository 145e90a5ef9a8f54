"""A bench for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.identity.bench import Bench

NewBench = Callable[..., Bench]


@pytest.fixture
def new_bench(tmp_path: Path) -> Iterator[NewBench]:
    """Make benches on the same database; all are closed at the end of the test."""
    made: list[Bench] = []

    def make(**values: Any) -> Bench:
        made.append(Bench(tmp_path, **values))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    """A domain with the user `ann`."""
    bench = new_bench()
    bench.add("ann")
    return bench
