"""A social campaign, submitted through the form with a real document and shown to every kind of client."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.page_actions import InstancePages, forgiving
from tests.clients.subjects import Closing
from tests.harness.browser import Complaints
from tests.harness.proxies.cutting_proxy import TornWire
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.tasks.campaign import CAMPAIGN, CAMPAIGN_STORY, DOCUMENT, STEPS
from tests.harness.tasks.event_lines import story
from tests.harness.waiting import wait_until

DONE = [f"{agent} {action} completed" for _, agent, action in STEPS]


def submit_by_form(pages: InstancePages) -> str:
    """Submit the campaign through the form, for one platform; return the task's id."""
    pages.page.goto(pages.url)
    pages.page.goto(f"{pages.url}/instances/{pages.instance}")
    pages.page.get_by_role("link", name="New task").click()
    pages.page.get_by_role("radio", name="Social campaign").check()
    pages.page.get_by_label("or load a text file").set_input_files(DOCUMENT)
    expect(pages.page.get_by_label("Brief", exact=True)).to_have_value(CAMPAIGN["brief"])
    for platform in ("linkedin", "instagram"):
        pages.page.get_by_role("checkbox", name=platform).uncheck()
    pages.send()
    return pages.task_opened()


def test_a_campaign_from_the_form_to_every_client(pages: InstancePages) -> None:
    deployment, instance = pages.deployment, pages.instance
    with (
        Recorder(deployment.webs[1].url) as plain,
        ResumingRecorder(deployment.webs[0].url) as resuming,
        TornWire(deployment.webs[1].port, after=(2, 5, 3, 4)) as wire,
        Closing() as closing,
    ):
        plain.subscribe(instance)
        resuming.follow(instance)
        torn = closing.add("python", wire.url)
        torn.subscribe(instance)
        torn.wait_until_live()

        task_id = submit_by_form(pages)
        for reached in (1, 6, 11, 16):
            resuming.wait_for_log(instance, reached)
            resuming.drop_and_resume(deployment.webs[reached % 2].url)
        pages.expect_status("Completed")

        plain.wait_for_status(task_id, "COMPLETED")
        torn.inbox.wait_for_status(task_id, "COMPLETED")
        resuming.wait_for_log(instance, len(CAMPAIGN_STORY))
        assert (wire.cuts, torn.losses) == (4, 4)

    log = deployment.events(instance)
    assert story(log) == CAMPAIGN_STORY
    assert plain.events() == log
    assert torn.inbox.events() == log
    assert resuming.log(instance) == log
    assert pages.steps() == DONE
    expect(pages.page.locator("#percent")).to_have_text("100 %")
    expect(pages.page.locator("#bar")).to_have_js_property("value", 100)
    expect(pages.page.locator("#result")).to_contain_text("Aurora One")
    assert deployment.task(task_id)["input"]["platforms"] == ["x"]


def test_a_page_whose_connection_breaks_four_times(browser: tuple[Page, Complaints], pages: InstancePages) -> None:
    page, complaints = browser
    deployment = pages.deployment
    with forgiving(complaints, "WebSocket connection"), TornWire(deployment.webs[0].port, after=(2, 5, 3, 4)) as wire:
        page.goto(f"{wire.url}/instances/{pages.instance}")
        pages.expect_connection("Live")
        task_id = deployment.submit(pages.instance, "social_campaign", CAMPAIGN)
        deployment.wait_for_task(task_id, "COMPLETED")
        expect(pages.row(task_id).locator("[data-slot=status]")).to_have_text("Completed")
        expect(pages.row(task_id).locator("[data-slot=percent]")).to_have_text("100 %")
        # The list loads an unknown task over HTTP, so it may be ahead of its event log.
        wait_until(lambda: wire.cuts == 4, "the line has torn four times", seen=lambda: wire.cuts)
        pages.expect_connection("Live")
