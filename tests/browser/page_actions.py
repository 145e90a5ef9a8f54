"""Performs actions on the pages and waits for what they show, with Playwright."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from tests.harness.browser import Complaints
from tests.harness.deployment import Deployment

expect.set_options(timeout=60_000)


class InstancePages:
    """The pages of one instance of a deployment, in one browser page."""

    def __init__(self, page: Page, deployment: Deployment, url: str) -> None:
        self.page = page
        self.deployment = deployment
        self.url = url
        self.instance = deployment.new_instance()

    def open_tasks(self, query: str = "") -> None:
        """Open the task list and wait until it is live."""
        self.page.goto(f"{self.url}/instances/{self.instance}{query}")
        self.expect_connection("Live")

    def open_task(self, task_id: str) -> None:
        """Open a task and wait until the page is live."""
        self.page.goto(f"{self.url}/tasks/{task_id}")
        self.expect_connection("Live")

    def open_form(self, kind: str) -> None:
        """Open the submission form of an agent."""
        self.page.goto(f"{self.url}/instances/{self.instance}/new?kind={kind}")

    def send(self) -> None:
        """Press the form's submit button."""
        self.page.get_by_role("button", name="Submit task").click()

    def task_opened(self) -> str:
        """Wait for the page of the submitted task; return its id."""
        self.page.wait_for_url(re.compile(r"/tasks/[0-9a-f-]{36}$"))
        url: str = self.page.url
        return url.rpartition("/")[2]

    def expect_connection(self, text: str) -> None:
        """Wait until the connection indicator shows this text."""
        expect(self.page.locator("#connection")).to_have_text(text)

    def expect_status(self, text: str) -> None:
        """Wait until the task's badge shows this text."""
        expect(self.page.locator("#status")).to_have_text(text)

    def steps(self) -> list[str]:
        """Return the steps on the page: agent, action and status."""
        rows = self.page.locator("#steps > li")
        parts = [row.locator("[data-slot=agent], [data-slot=action], [data-slot=status]") for row in rows.all()]
        return [" ".join(part.inner_text() for part in row.all()) for row in parts]

    def step(self, key: str) -> Locator:
        """Return one step's row."""
        return self.page.locator(f"#steps > li[data-key='{key}']")

    def row(self, task_id: str) -> Locator:
        """Return one task's row of the list."""
        return self.page.locator(f"#tasks > li[data-task='{task_id}']")

    def error_at(self, field: str) -> Locator:
        """Return the error at one field."""
        return self.page.locator(f"[data-field='{field}'] > .field-error")


@contextmanager
def forgiving(complaints: Complaints, *expected: str) -> Iterator[None]:
    """Ignore complaints of the browser that contain one of these texts: the test provokes them."""
    yield
    complaints.problems = [problem for problem in complaints.problems if not any(text in problem for text in expected)]
