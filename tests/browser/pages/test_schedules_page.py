"""The schedules of an instance: add, pause, resume, remove."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.page_actions import InstancePages, forgiving
from tests.harness.browser import Complaints


def open_schedules(pages: InstancePages) -> None:
    pages.page.goto(f"{pages.url}/instances/{pages.instance}/schedules")
    pages.expect_connection("Live")


def fill(pages: InstancePages, name: str) -> None:
    """Open the form and fill in the fields that every schedule needs."""
    page = pages.page
    page.get_by_role("heading", name="Add schedule").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("radio", name="Echo").check()
    page.get_by_label("Message", exact=True).fill("Good morning")


def test_a_schedule_is_added_paused_resumed_and_removed(pages: InstancePages) -> None:
    page = pages.page
    open_schedules(pages)
    expect(page.locator("#empty")).to_be_visible()
    fill(pages, "Every weekday")
    page.get_by_label("Cron expression").fill("0 9 * * 1-5")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_role("button", name="Add schedule").click()
    row = page.locator("#schedules > li")
    expect(row).to_contain_text("Every weekday")
    expect(row).to_contain_text("0 9 * * 1-5 (Europe/Berlin)")
    expect(row.locator("[data-slot=state]")).to_have_text("Active")
    row.get_by_role("button", name="Pause").click()
    expect(row.locator("[data-slot=state]")).to_have_text("Paused")
    row.get_by_role("button", name="Resume").click()
    expect(row.locator("[data-slot=state]")).to_have_text("Active")
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Cancel").click()
    expect(row).to_have_count(1)
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_refusals_are_shown_at_their_fields(browser: tuple[Page, Complaints], pages: InstancePages) -> None:
    page = pages.page
    open_schedules(pages)
    fill(pages, "Wrong")
    page.get_by_label("Cron expression").fill("every day")
    with forgiving(browser[1], "422", "409"):
        page.get_by_role("button", name="Add schedule").click()
        expect(pages.error_at("cron")).to_be_visible()
        page.get_by_label("Cron expression").fill("0 9 * * *")
        page.get_by_label("Time zone").fill("Mars/Olympus")
        page.get_by_role("button", name="Add schedule").click()
        expect(pages.error_at("timezone")).to_be_visible()
        page.get_by_text("Interval", exact=True).click()
        page.get_by_role("button", name="Add schedule").click()
        expect(pages.error_at("interval_seconds")).to_have_text("This field is required")
        page.get_by_label("Interval in seconds").fill("3600")
        page.get_by_label("Time zone").evaluate("(zone) => (zone.value = 'UTC')")
        page.get_by_role("button", name="Add schedule").click()
        expect(page.locator("#schedules > li")).to_contain_text("every hour")
        fill(pages, "Wrong")
        page.get_by_role("button", name="Add schedule").click()
        expect(pages.error_at("name")).to_be_visible()


def test_a_moment_is_read_by_the_readers_clock(pages: InstancePages) -> None:
    page = pages.page
    open_schedules(pages)
    fill(pages, "Once")
    page.get_by_text("Once", exact=True).click()
    page.get_by_label("Date and time (local time)").fill("2040-05-06T07:08")
    page.get_by_role("button", name="Add schedule").click()
    expect(page.locator("#schedules > li")).to_contain_text("once, ")
    expect(page.locator("#schedules [data-slot=next]")).to_contain_text("2040")
