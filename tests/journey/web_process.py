"""Fixtures for tests of one web process of each kind; a module imports them, and calls its settings `LIMITS`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.deployment import Deployment
from tests.harness.server_modes import WAYS
from tests.harness.servers import RedisBinary
from tests.journey.event_writer import Author


@pytest.fixture(scope="module", params=WAYS)
def deployment(request: pytest.FixtureRequest, redis_binary: RedisBinary) -> Iterator[Deployment]:
    """One web process of each way for all tests of a module."""
    with Deployment(redis_binary=redis_binary, env={**request.module.LIMITS, **WAYS[request.param]}) as opened:
        opened.start_web()
        yield opened


@pytest.fixture
def url(deployment: Deployment) -> str:
    return deployment.webs[0].url


@pytest.fixture
def author(deployment: Deployment) -> Author:
    return Author(deployment)
