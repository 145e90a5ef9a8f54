"""The main job, submitted through the form on a real document and watched to its end by everyone."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.page_actions import Sights, forgiving
from tests.clients.subjects import Closing
from tests.harness.browser import Complaints
from tests.harness.campaign import CAMPAIGN, CAMPAIGN_STORY, DOCUMENT, STEPS
from tests.harness.cutting_proxy import TornWire
from tests.harness.event_lines import story
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.waiting import wait_until

DONE = [f"{agent} {action} completed" for _, agent, action in STEPS]


def submit_by_form(sights: Sights) -> str:
    """Submit the campaign through the form, for one platform; return the task's id."""
    sights.page.goto(sights.url)
    sights.page.goto(f"{sights.url}/instances/{sights.instance}")
    sights.page.get_by_role("link", name="New task").click()
    sights.page.get_by_role("radio", name="Social campaign").check()
    sights.page.get_by_label("or load a text file").set_input_files(DOCUMENT)
    expect(sights.page.get_by_label("Brief", exact=True)).to_have_value(CAMPAIGN["brief"])
    for platform in ("linkedin", "instagram"):
        sights.page.get_by_role("checkbox", name=platform).uncheck()
    sights.send()
    return sights.task_opened()


def test_a_campaign_from_the_form_to_every_watcher(sights: Sights) -> None:
    deployment, instance = sights.deployment, sights.instance
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

        task_id = submit_by_form(sights)
        for reached in (1, 6, 11, 16):
            resuming.wait_for_log(instance, reached)
            resuming.drop_and_resume(deployment.webs[reached % 2].url)
        sights.expect_status("Completed")

        plain.wait_for_status(task_id, "COMPLETED")
        torn.inbox.wait_for_status(task_id, "COMPLETED")
        resuming.wait_for_log(instance, len(CAMPAIGN_STORY))
        assert (wire.cuts, torn.losses) == (4, 4)

    log = deployment.events(instance)
    assert story(log) == CAMPAIGN_STORY
    assert plain.events() == log
    assert torn.inbox.events() == log
    assert resuming.log(instance) == log
    assert sights.steps() == DONE
    expect(sights.page.locator("#percent")).to_have_text("100 %")
    expect(sights.page.locator("#bar")).to_have_js_property("value", 100)
    expect(sights.page.locator("#result")).to_contain_text("Aurora One")
    assert deployment.task(task_id)["input"]["platforms"] == ["x"]


def test_a_page_on_a_line_that_tears_four_times(browser: tuple[Page, Complaints], sights: Sights) -> None:
    page, complaints = browser
    deployment = sights.deployment
    with forgiving(complaints, "WebSocket connection"), TornWire(deployment.webs[0].port, after=(2, 5, 3, 4)) as wire:
        page.goto(f"{wire.url}/instances/{sights.instance}")
        sights.expect_connection("Live")
        task_id = deployment.submit(sights.instance, "social_campaign", CAMPAIGN)
        deployment.wait_for_task(task_id, "COMPLETED")
        expect(sights.row(task_id).locator("[data-slot=status]")).to_have_text("Completed")
        expect(sights.row(task_id).locator("[data-slot=percent]")).to_have_text("100 %")
        # The list asks over HTTP for a task that it does not know, so it may be ahead of its own log.
        wait_until(lambda: wire.cuts == 4, "the line has torn four times", seen=lambda: wire.cuts)
        sights.expect_connection("Live")
