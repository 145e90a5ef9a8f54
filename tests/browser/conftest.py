"""Fixtures: deployments for the browser tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.page_actions import InstancePages
from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK
from tests.identity.bench import CHEAP


@pytest.fixture
def pages(page: Page, shared_deployment: Deployment) -> InstancePages:
    """The pages of a new instance on the shared deployment."""
    return InstancePages(page, shared_deployment, shared_deployment.webs[0].url)


@pytest.fixture(scope="session")
def deployment_with_test_agents() -> Iterator[Deployment]:
    """A deployment with agents that wait for a file, stream text, or fail on request; the demo instance is slow."""
    agents = "tests.harness.tasks.agents,tests.browser.agents"
    with Deployment(env={**BRISK, "agents": agents, "demo_words_per_second": 2}) as deployment:
        deployment.start_worker(concurrency=2, wait=False)
        deployment.start_web()
        deployment.workers[0].wait_ready()
        yield deployment


@pytest.fixture(scope="session")
def authenticated_deployment() -> Iterator[Deployment]:
    """A deployment that requires sign-in."""
    with Deployment(env={**BRISK, **CHEAP, "auth": "required"}) as deployment:
        deployment.start_worker(wait=False)
        deployment.start_web()
        deployment.workers[0].wait_ready()
        yield deployment
