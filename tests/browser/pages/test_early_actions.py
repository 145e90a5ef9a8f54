"""A user acts on a page before its script has run: nothing is sent by the browser itself, and nothing is ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Route, expect

from swallowtail.app.core.identity import users
from tests.browser.page_actions import InstancePages
from tests.browser.signed_in_users import sign_in
from tests.harness.deployment import Deployment
from tests.identity.bench import PASSWORD


@contextmanager
def late_script(page: Page) -> Iterator[None]:
    """Hold the page's own script back until the block ends."""
    held: list[Route] = []
    pattern = re.compile("/static/js/pages/")
    page.route(pattern, lambda route: held.append(route))
    yield
    assert held
    for route in held:
        route.continue_()
    page.unroute(pattern)


@pytest.mark.parametrize(
    ("path", "form", "field"),
    [
        ("/", "#create", "#name"),
        ("/instances/{instance}/new?kind=echo", "#submit", "[name=title]"),
        ("/instances/{instance}/schedules", "#add", "#name"),
        ("/instances/{instance}/settings", "#policy", "#event-days"),
        ("/instances/{instance}/settings", "#delete", "#confirm-id"),
    ],
)
def test_a_form_waits_for_its_script(pages: InstancePages, path: str, form: str, field: str) -> None:
    page = pages.page
    address = pages.url + path.format(instance=pages.instance)
    button = page.locator(f"{form} [type=submit]")
    with late_script(page):
        page.goto(address, wait_until="commit")
        page.locator(f"{form} {field}").evaluate("field => { field.value = '1'; }")
        page.locator(f"{form} {field}").evaluate("field => field.form.querySelector('[type=submit]').click()")
        assert page.locator(form).evaluate("form => form.querySelector('[type=submit]').disabled")
    expect(button).to_be_enabled()
    assert page.url == address


def test_a_password_never_stands_in_the_address(page: Page, authenticated_deployment: Deployment) -> None:
    users.create_user(authenticated_deployment.runtime(), "rosa", PASSWORD)
    address = f"{authenticated_deployment.webs[0].url}/account"
    page.goto(address)
    sign_in(page, "rosa")
    page.wait_for_url(address)
    with late_script(page):
        page.goto(address, wait_until="commit")
        page.get_by_label("Current password").fill(PASSWORD)
        page.get_by_label("New password").fill("staple after staple")
        page.get_by_label("New password").press("Enter")
        assert page.get_by_role("button", name="Change password").is_disabled()
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "password" not in page.url


def test_a_filter_that_was_chosen_early_applies(pages: InstancePages) -> None:
    page = pages.page
    done = pages.deployment.submit(pages.instance, "probe", {"steps": 1})
    failed = pages.deployment.submit(pages.instance, "probe", {"fail_at": 1, "error": "permanent"})
    pages.open_tasks()
    expect(pages.row(done)).to_contain_text("Completed")
    expect(pages.row(failed)).to_contain_text("Failed")
    with late_script(page):
        page.goto(f"{pages.url}/instances/{pages.instance}", wait_until="commit")
        page.get_by_label("Status").select_option("FAILED")
    page.wait_for_url("**?status=FAILED")
    expect(pages.row(failed)).to_be_visible()
    expect(pages.row(done)).to_have_count(0)
