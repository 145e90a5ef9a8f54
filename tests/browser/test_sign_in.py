"""A user signs in, submits a task, follows it live, and signs out; then the user's other pages close too."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from swallowtail.app.core.identity import users
from swallowtail.app.core.security.roles import Role
from tests.browser.page_actions import InstancePages, forgiving
from tests.browser.signed_in_users import make_member, sign_in
from tests.harness.browser import Complaints
from tests.harness.deployment import Deployment
from tests.identity.bench import PASSWORD


def test_sign_in_submit_watch_and_sign_out(
    browser: tuple[Page, Complaints], authenticated_deployment: Deployment
) -> None:
    page, complaints = browser
    pages = InstancePages(page, authenticated_deployment, authenticated_deployment.webs[0].url)
    make_member(authenticated_deployment, "olga", Role.OPERATOR, pages.instance)
    page.goto(f"{pages.url}/instances/{pages.instance}")
    sign_in(page, "olga")
    page.wait_for_url(re.compile(f"/instances/{pages.instance}$"))
    pages.expect_connection("Live")

    pages.open_form("echo")
    page.get_by_label("Message").fill("Hello")
    pages.send()
    pages.task_opened()
    pages.expect_status("Completed")
    pages.expect_connection("Live")

    with page.expect_popup() as opened:
        page.evaluate("void window.open('/account')")
    other = opened.value
    with forgiving(complaints, "401"):
        other.get_by_role("button", name="Sign out").click()
        expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
        # The socket was closed, and a new one requires sign-in.
        page.wait_for_url(re.compile(r"/login\?next="))
    sign_in(page, "olga")
    pages.task_opened()
    pages.expect_connection("Live")


def test_a_viewer_watches_and_is_offered_nothing_else(page: Page, authenticated_deployment: Deployment) -> None:
    pages = InstancePages(page, authenticated_deployment, authenticated_deployment.webs[0].url)
    make_member(authenticated_deployment, "vera", Role.VIEWER, pages.instance)
    page.goto(f"{pages.url}/instances/{pages.instance}")
    sign_in(page, "vera")
    pages.expect_connection("Live")
    expect(page.get_by_role("link", name="New task")).to_have_count(0)
    task_id = pages.deployment.submit(pages.instance, "probe", {"fail_at": 1, "error": "permanent"})
    expect(pages.row(task_id)).to_contain_text("Failed")
    pages.open_task(task_id)
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    page.goto(f"{pages.url}/instances/{pages.instance}/schedules")
    pages.expect_connection("Live")
    expect(page.locator("#add-panel")).to_be_hidden()


def test_tokens_and_password_on_the_account_page(
    browser: tuple[Page, Complaints], authenticated_deployment: Deployment
) -> None:
    page, complaints = browser
    users.create_user(authenticated_deployment.runtime(), "petra", PASSWORD)
    url = authenticated_deployment.webs[0].url
    page.goto(f"{url}/account")
    sign_in(page, "petra")
    page.locator("#create-token").get_by_label("Name").fill("nightly <b>report</b>")
    page.get_by_role("button", name="Create token").click()
    expect(page.locator("#created-token pre")).to_contain_text("swt_")
    expect(page.locator("#tokens strong")).to_have_text("nightly <b>report</b>")
    expect(page.locator("#no-tokens")).to_be_hidden()
    page.reload()
    expect(page.locator("#tokens strong")).to_have_text("nightly <b>report</b>")
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("#tokens li")).to_have_count(0)
    expect(page.locator("#no-tokens")).to_be_visible()
    page.get_by_label("Current password").fill("wrong wrong wrong")
    page.get_by_label("New password").fill("staple after staple")
    with forgiving(complaints, "403"):
        page.get_by_role("button", name="Change password").click()
        expect(page.locator("[data-field=password] > .field-error")).to_be_visible()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
