"""Deployments with short leases, sweeps and delays, and with agents for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK
from tests.harness.servers import RedisBinary


@pytest.fixture
def fast_deployment(new_deployment: Callable[..., Deployment]) -> Callable[..., Deployment]:
    """Return a factory of deployments with one worker of one child; `worker=False` leaves the worker out."""

    def make(*, worker: bool = True, database_url: str | None = None, **settings: Any) -> Deployment:
        deployment = new_deployment(env={**BRISK, **settings}, database_url=database_url)
        if worker:
            deployment.start_worker(concurrency=1)
        return deployment

    return make


@pytest.fixture(scope="module")
def limited_deployment(redis_binary: RedisBinary) -> Iterator[Deployment]:
    """A deployment with short time limits, for all faults that leave its worker alive."""
    with Deployment(env={**BRISK, "soft_time_limit": 3, "hard_time_limit": 8}, redis_binary=redis_binary) as deployment:
        deployment.start_worker(concurrency=1)
        yield deployment
