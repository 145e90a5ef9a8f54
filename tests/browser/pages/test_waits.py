"""Pages say why a task waits, as soon as it is so and no longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_actions import InstancePages
from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK

NO_WORKER = "No worker is running: the task waits for one"


@pytest.fixture
def deployment_without_workers() -> Iterator[Deployment]:
    with Deployment(env=BRISK) as deployment:
        deployment.start_web()
        yield deployment


def test_the_list_and_the_task_say_that_no_worker_runs_until_one_does(
    page: Page, deployment_without_workers: Deployment
) -> None:
    deployment = deployment_without_workers
    pages = InstancePages(page, deployment, deployment.webs[0].url)
    pages.open_tasks()
    task_id = deployment.submit(pages.instance, "echo", {"message": "Hello"})
    # The list learns of the task by an event, and asks why it waits.
    expect(pages.row(task_id).locator("[data-slot=message]")).to_have_text(NO_WORKER)
    tab = page.context.new_page()
    both = InstancePages(tab, deployment, pages.url)
    both.open_task(task_id)
    expect(tab.locator("#wait")).to_have_text(NO_WORKER)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    deployment.start_worker()
    both.expect_status("Completed")
    expect(tab.locator("#wait")).to_be_hidden()
    expect(pages.row(task_id).locator("[data-slot=message]")).not_to_have_text(NO_WORKER)
