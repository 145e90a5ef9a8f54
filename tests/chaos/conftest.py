"""Houses whose leases, sweeps and pauses are short, with the agents that only tests need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness.brisk import BRISK
from tests.harness.house import House
from tests.harness.servers import RedisBinary


@pytest.fixture
def brisk_house(new_house: Callable[..., House]) -> Callable[..., House]:
    """Make a house with one worker of one child; settings may be added, `worker=False` leaves the worker out."""

    def make(*, worker: bool = True, database_url: str | None = None, **settings: Any) -> House:
        house = new_house(env={**BRISK, **settings}, database_url=database_url)
        if worker:
            house.start_worker(concurrency=1)
        return house

    return make


@pytest.fixture(scope="module")
def limited_house(redis_binary: RedisBinary) -> Iterator[House]:
    """One house with short time limits for all faults that leave its worker alive."""
    with House(env={**BRISK, "soft_time_limit": 3, "hard_time_limit": 8}, redis_binary=redis_binary) as house:
        house.start_worker(concurrency=1)
        yield house
