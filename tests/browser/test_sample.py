"""The sample of an agent in the form, and the demo instance, in which a campaign is slow enough to be watched."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.page_actions import InstancePages
from tests.harness.deployment import Deployment
from tests.harness.tasks.campaign import DOCUMENT
from tests.harness.waiting import wait_until

BRIEF = DOCUMENT.read_text(encoding="utf-8")


def test_the_sample_fills_the_form_and_works(pages: InstancePages) -> None:
    page = pages.page
    pages.open_form("social_campaign")
    page.get_by_text("Brief at an address", exact=True).click()
    page.get_by_role("button", name="Use a sample").click()
    expect(page.get_by_role("button", name="Use a sample")).to_be_focused()
    expect(page.get_by_label("Brief", exact=True)).to_have_value(BRIEF)
    expect(page.get_by_role("checkbox", name="linkedin")).to_be_checked()
    for platform in ("linkedin", "instagram"):
        page.get_by_role("checkbox", name=platform).uncheck()
    pages.send()
    task_id = pages.task_opened()
    pages.expect_status("Completed")
    task_input = pages.deployment.task(task_id)["input"]
    assert (task_input["brief"], task_input["platforms"]) == (BRIEF, ["x"])


def test_an_agent_without_an_example_offers_no_sample(pages: InstancePages) -> None:
    pages.open_form("echo")
    expect(pages.page.get_by_role("button", name="Use a sample")).to_be_visible()
    pages.page.get_by_role("radio", name="Probe").check()
    expect(pages.page.get_by_label("Steps", exact=True)).to_be_visible()
    expect(pages.page.get_by_role("button", name="Use a sample")).to_have_count(0)


def test_the_empty_demo_instance_leads_to_a_campaign_that_one_sees_grow_and_can_cancel(
    page: Page, deployment_with_test_agents: Deployment
) -> None:
    pages = InstancePages(page, deployment_with_test_agents, deployment_with_test_agents.webs[0].url)
    pages.instance = "demo"
    pages.open_tasks()
    page.get_by_role("link", name="start with the sample of Social campaign").click()
    expect(page.get_by_label("Brief", exact=True)).to_have_value(BRIEF)
    pages.send()
    pages.task_opened()
    text = pages.step("draft:x:1").locator("pre")
    expect(text).to_contain_text("Aurora")
    earlier = text.inner_text()
    wait_until(lambda: len(text.inner_text()) > len(earlier), "the text grows")
    pages.expect_status("In progress")
    page.get_by_role("button", name="Cancel").click()
    pages.expect_status("Cancelled")
    assert pages.steps()[-1] == "ContentCreator generate_content cancelled"
