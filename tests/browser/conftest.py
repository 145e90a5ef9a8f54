"""Houses for the browser's tests, and what a person reads off a page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.sights import Sights
from tests.harness.brisk import BRISK
from tests.harness.house import House
from tests.identity.bench import CHEAP


@pytest.fixture
def sights(page: Page, shared_house: House) -> Sights:
    """The pages of an instance of this test's own, on processes that all tests share."""
    return Sights(page, shared_house, shared_house.webs[0].url)


@pytest.fixture(scope="session")
def house_with_test_agents() -> Iterator[House]:
    """A house with agents that wait for a file, stream, and fail as asked."""
    with House(env={**BRISK, "agents": "tests.harness.agents,tests.browser.agents"}) as house:
        house.start_worker(concurrency=2, wait=False)
        house.start_web()
        house.workers[0].wait_ready()
        yield house


@pytest.fixture(scope="session")
def guarded_house() -> Iterator[House]:
    """A house where one has to sign in."""
    with House(env={**BRISK, **CHEAP, "auth": "required"}) as house:
        house.start_worker(wait=False)
        house.start_web()
        house.workers[0].wait_ready()
        yield house
