"""The page of one task: live status and steps, cancel and retry, and the right state after an interruption."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_actions import InstancePages, forgiving
from tests.harness.browser import Complaints
from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK
from tests.harness.tasks.event_lines import story
from tests.harness.tasks.paused_step import UNTIL_PAUSE, after_pause

FIRST, WAIT, LAST = "Paused open", "Paused wait", "Paused close"


@pytest.fixture
def pages(page: Page, deployment_with_test_agents: Deployment) -> InstancePages:
    return InstancePages(page, deployment_with_test_agents, deployment_with_test_agents.webs[0].url)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tmp_path / "paused"


def start_paused(pages: InstancePages, release: Path) -> str:
    """Submit a task that waits for a file, open its page and wait for the step; return its id."""
    task_id = pages.deployment.submit(pages.instance, "paused", {"path": str(release)})
    pages.open_task(task_id)
    expect(pages.step("wait").locator("[data-slot=status]")).to_have_text("in progress")
    return task_id


def test_status_steps_and_progress_are_live(pages: InstancePages, release: Path) -> None:
    start_paused(pages, release)
    pages.expect_status("In progress")
    assert pages.steps() == [f"{FIRST} completed", f"{WAIT} in progress"]
    expect(pages.page.locator("#percent")).to_have_text("10 %")
    release.touch()
    pages.expect_status("Completed")
    assert pages.steps() == [f"{FIRST} completed", f"{WAIT} completed", f"{LAST} completed"]
    expect(pages.page.locator("#percent")).to_have_text("100 %")
    expect(pages.page.locator("#result")).to_contain_text("attempt")
    expect(pages.page).to_have_title("Completed · Paused · Swallowtail")


def test_each_step_shows_its_key_and_message(pages: InstancePages) -> None:
    pages.open_task(pages.deployment.submit(pages.instance, "echo", {"message": "Hello"}))
    pages.expect_status("Completed")
    for key, said in (("listen", "Received the message"), ("repeat", "Repeated it")):
        expect(pages.step(key).locator("[data-slot=key]")).to_have_text(key)
        expect(pages.step(key).locator("[data-slot=message]")).to_have_text(said)
    pages.page.reload()
    expect(pages.step("repeat").locator("[data-slot=message]")).to_be_visible()
    expect(pages.step("repeat").locator("[data-slot=message]")).to_have_text("Repeated it")


def test_cancel_and_retry(pages: InstancePages, release: Path) -> None:
    task_id = start_paused(pages, release)
    pages.page.get_by_role("button", name="Cancel").click()
    pages.expect_status("Cancelled")
    expect(pages.page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(pages.page.locator("#seq")).to_have_text(str(len(pages.deployment.events(pages.instance))))
    assert pages.steps() == [f"{FIRST} completed", f"{WAIT} cancelled"]
    release.touch()
    pages.page.get_by_role("button", name="Retry").click()
    pages.expect_status("Completed")
    expect(pages.page.get_by_role("button", name="Retry")).to_be_hidden()
    cancelled = ["1: cancel requested", "1: wait failed cancelled", "1: CANCELLED"]
    retried = ["1: RETRYING", "1: QUEUED", "2: IN_PROGRESS", "2: wait in_progress"]
    assert story(pages.deployment.events(pages.instance)) == [*UNTIL_PAUSE, *cancelled, *retried, *after_pause(2)]
    assert pages.deployment.task(task_id)["status"] == "COMPLETED"


def test_a_retry_may_begin_at_an_earlier_step(pages: InstancePages, release: Path) -> None:
    start_paused(pages, release)
    pages.page.get_by_role("button", name="Cancel").click()
    pages.expect_status("Cancelled")
    release.touch()
    pages.page.get_by_label("Steps to repeat").select_option("From first")
    pages.page.get_by_role("button", name="Retry").click()
    pages.expect_status("Completed")
    body = story(pages.deployment.events(pages.instance))
    assert body[body.index("2: IN_PROGRESS") + 1 :][:2] == ["2: first in_progress", "2: first completed"]


def test_a_refusal_is_shown(browser: tuple[Page, Complaints], pages: InstancePages, release: Path) -> None:
    task_id = start_paused(pages, release)
    pages.page.route("**/socket.io/**", lambda route: route.abort())
    with forgiving(browser[1], "409", "WebSocket"):
        # The page has not received the end of the task yet.
        pages.page.evaluate("window.stop()")
        pages.page.context.set_offline(True)
        pages.expect_connection("Offline")
        release.touch()
        pages.deployment.wait_for_task(task_id, "COMPLETED")
        pages.page.context.set_offline(False)
        pages.page.get_by_role("button", name="Cancel").click()
        expect(pages.page.locator("#action-error")).to_contain_text("COMPLETED")


def test_the_text_of_a_running_step_is_streamed(pages: InstancePages, release: Path) -> None:
    pieces = ["WebApp ", "lamps ", "🦋 <b>shine</b>"]
    task_id = pages.deployment.submit(pages.instance, "writer", {"pieces": ["Not seen. "], "path": str(release) + "1"})
    pages.open_task(task_id)
    pages.expect_status("In progress")
    # A page that opens in the middle receives the following pieces; of a retry it receives all.
    pages.page.get_by_role("button", name="Cancel").click()
    pages.expect_status("Cancelled")
    other = pages.deployment.submit(pages.instance, "writer", {"pieces": pieces, "path": str(release)})
    pages.open_task(other)
    expect(pages.step("write").locator("[data-slot=status]")).to_have_text("in progress")
    pages.page.get_by_role("button", name="Cancel").click()
    pages.expect_status("Cancelled")
    pages.page.get_by_role("button", name="Retry").click()
    expect(pages.step("write").locator("[data-slot=stream]")).to_have_text("".join(pieces))
    release.touch()
    pages.expect_status("Completed")
    expect(pages.step("write").locator("[data-slot=stream]")).to_be_hidden()
    expect(pages.page.locator("#result")).to_contain_text("".join(pieces))


def test_after_a_restart_of_the_web_process_the_state_is_right(
    browser: tuple[Page, Complaints], new_deployment: Callable[..., Deployment], release: Path
) -> None:
    page, complaints = browser
    deployment = new_deployment(env=BRISK)
    web = deployment.start_web()
    deployment.start_worker()
    pages = InstancePages(page, deployment, web.url)
    task_id = start_paused(pages, release)
    with forgiving(complaints, "WebSocket connection"):
        web.terminate()
        pages.expect_connection("Offline")
        release.touch()
        deployment.wait_for_task(task_id, "COMPLETED")
        pages.expect_status("In progress")
        web.start()
        pages.expect_status("Completed")
        pages.expect_connection("Live")
    assert pages.steps() == [f"{FIRST} completed", f"{WAIT} completed", f"{LAST} completed"]


def test_the_page_loads_a_snapshot_after_a_new_epoch(pages: InstancePages, release: Path) -> None:
    # A page that the browser has frozen for long returns with a position of another epoch.
    task_id = pages.deployment.submit(pages.instance, "paused", {"path": str(release)})
    epoch = pages.deployment.wait_for_step(pages.instance, task_id, "wait")["epoch"]
    pages.page.add_init_script(
        """new MutationObserver((_, observer) => {
            const state = document.getElementById("state");
            if (!state?.nextSibling) return;
            observer.disconnect();
            // Its text, not its `textContent`: Trusted Types keep everybody from setting that of a script.
            const text = state.firstChild;
            text.data = text.data.replace("EPOCH", "another-epoch").replace("IN_PROGRESS", "QUEUED");
        }).observe(document, { childList: true, subtree: true });""".replace("EPOCH", epoch)
    )
    pages.open_task(task_id)
    pages.expect_status("In progress")
    release.touch()
    pages.expect_status("Completed")
    expect(pages.page.locator("#steps > li")).to_have_count(3)
