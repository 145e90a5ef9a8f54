"""One task's page: live status and steps, cancel and retry, and the right state after whatever happened meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_actions import Sights, forgiving
from tests.harness.browser import Complaints
from tests.harness.deployment import Deployment
from tests.harness.event_lines import story
from tests.harness.fast_settings import BRISK
from tests.harness.paused_step import UNTIL_GATE, after_gate

FIRST, WAIT, LAST = "Gate open", "Gate wait", "Gate close"


@pytest.fixture
def sights(page: Page, deployment_with_test_agents: Deployment) -> Sights:
    return Sights(page, deployment_with_test_agents, deployment_with_test_agents.webs[0].url)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def at_the_gate(sights: Sights, gate: Path) -> str:
    """Submit a gate task, open its page and wait until it stands at the gate; its id."""
    task_id = sights.deployment.submit(sights.instance, "gate", {"path": str(gate)})
    sights.open_task(task_id)
    expect(sights.step("wait").locator("[data-slot=status]")).to_have_text("in progress")
    return task_id


def test_status_steps_and_progress_are_live(sights: Sights, gate: Path) -> None:
    at_the_gate(sights, gate)
    sights.expect_status("In progress")
    assert sights.steps() == [f"{FIRST} completed", f"{WAIT} in progress"]
    expect(sights.page.locator("#percent")).to_have_text("10 %")
    gate.touch()
    sights.expect_status("Completed")
    assert sights.steps() == [f"{FIRST} completed", f"{WAIT} completed", f"{LAST} completed"]
    expect(sights.page.locator("#percent")).to_have_text("100 %")
    expect(sights.page.locator("#result")).to_contain_text("attempt")
    expect(sights.page).to_have_title("Completed · Gate · Swallowtail")


def test_each_step_shows_its_key_and_what_the_agent_said_of_it(sights: Sights) -> None:
    sights.open_task(sights.deployment.submit(sights.instance, "echo", {"message": "Hello"}))
    sights.expect_status("Completed")
    for key, said in (("listen", "Heard the message"), ("repeat", "Repeated it")):
        expect(sights.step(key).locator("[data-slot=key]")).to_have_text(key)
        expect(sights.step(key).locator("[data-slot=message]")).to_have_text(said)
    sights.page.reload()
    expect(sights.step("repeat").locator("[data-slot=message]")).to_be_visible()
    expect(sights.step("repeat").locator("[data-slot=message]")).to_have_text("Repeated it")


def test_cancel_and_retry(sights: Sights, gate: Path) -> None:
    task_id = at_the_gate(sights, gate)
    sights.page.get_by_role("button", name="Cancel").click()
    sights.expect_status("Cancelled")
    expect(sights.page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(sights.page.locator("#seq")).to_have_text(str(len(sights.deployment.events(sights.instance))))
    assert sights.steps() == [f"{FIRST} completed", f"{WAIT} cancelled"]
    gate.touch()
    sights.page.get_by_role("button", name="Retry").click()
    sights.expect_status("Completed")
    expect(sights.page.get_by_role("button", name="Retry")).to_be_hidden()
    cancelled = ["1: cancel requested", "1: wait failed cancelled", "1: CANCELLED"]
    retried = ["1: RETRYING", "1: QUEUED", "2: IN_PROGRESS", "2: wait in_progress"]
    assert story(sights.deployment.events(sights.instance)) == [*UNTIL_GATE, *cancelled, *retried, *after_gate(2)]
    assert sights.deployment.task(task_id)["status"] == "COMPLETED"


def test_a_retry_may_begin_at_an_earlier_step(sights: Sights, gate: Path) -> None:
    at_the_gate(sights, gate)
    sights.page.get_by_role("button", name="Cancel").click()
    sights.expect_status("Cancelled")
    gate.touch()
    sights.page.get_by_label("Steps to repeat").select_option("From first")
    sights.page.get_by_role("button", name="Retry").click()
    sights.expect_status("Completed")
    body = story(sights.deployment.events(sights.instance))
    assert body[body.index("2: IN_PROGRESS") + 1 :][:2] == ["2: first in_progress", "2: first completed"]


def test_a_refusal_is_shown(browser: tuple[Page, Complaints], sights: Sights, gate: Path) -> None:
    task_id = at_the_gate(sights, gate)
    sights.page.route("**/socket.io/**", lambda route: route.abort())
    with forgiving(browser[1], "409", "WebSocket"):
        # The page has not heard yet that the task has ended.
        sights.page.evaluate("window.stop()")
        sights.page.context.set_offline(True)
        sights.expect_connection("Offline")
        gate.touch()
        sights.deployment.wait_for_task(task_id, "COMPLETED")
        sights.page.context.set_offline(False)
        sights.page.get_by_role("button", name="Cancel").click()
        expect(sights.page.locator("#action-error")).to_contain_text("COMPLETED")


def test_the_text_of_a_running_step_is_streamed(sights: Sights, gate: Path) -> None:
    pieces = ["WebApp ", "lamps ", "🦋 <b>shine</b>"]
    task_id = sights.deployment.submit(sights.instance, "writer", {"pieces": ["Not seen. "], "path": str(gate) + "1"})
    sights.open_task(task_id)
    sights.expect_status("In progress")
    # A page that comes in the middle is told the pieces that come after it; the retry's are all of them.
    sights.page.get_by_role("button", name="Cancel").click()
    sights.expect_status("Cancelled")
    other = sights.deployment.submit(sights.instance, "writer", {"pieces": pieces, "path": str(gate)})
    sights.open_task(other)
    expect(sights.step("write").locator("[data-slot=status]")).to_have_text("in progress")
    sights.page.get_by_role("button", name="Cancel").click()
    sights.expect_status("Cancelled")
    sights.page.get_by_role("button", name="Retry").click()
    expect(sights.step("write").locator("[data-slot=stream]")).to_have_text("".join(pieces))
    gate.touch()
    sights.expect_status("Completed")
    expect(sights.step("write").locator("[data-slot=stream]")).to_be_hidden()
    expect(sights.page.locator("#result")).to_contain_text("".join(pieces))


def test_after_a_restart_of_the_web_process_the_state_is_right(
    browser: tuple[Page, Complaints], new_deployment: Callable[..., Deployment], gate: Path
) -> None:
    page, complaints = browser
    deployment = new_deployment(env=BRISK)
    web = deployment.start_web()
    deployment.start_worker()
    sights = Sights(page, deployment, web.url)
    task_id = at_the_gate(sights, gate)
    with forgiving(complaints, "WebSocket connection"):
        web.terminate()
        sights.expect_connection("Offline")
        gate.touch()
        deployment.wait_for_task(task_id, "COMPLETED")
        sights.expect_status("In progress")
        web.start()
        sights.expect_status("Completed")
        sights.expect_connection("Live")
    assert sights.steps() == [f"{FIRST} completed", f"{WAIT} completed", f"{LAST} completed"]


def test_a_log_that_was_begun_anew_gives_the_page_a_snapshot(sights: Sights, gate: Path) -> None:
    # A page that was put away for long, as a browser does, comes back with a position of another epoch.
    task_id = sights.deployment.submit(sights.instance, "gate", {"path": str(gate)})
    epoch = sights.deployment.wait_for_step(sights.instance, task_id, "wait")["epoch"]
    sights.page.add_init_script(
        """new MutationObserver((_, observer) => {
            const state = document.getElementById("state");
            if (!state?.nextSibling) return;
            observer.disconnect();
            // Its text, not its `textContent`: Trusted Types keep everybody from setting that of a script.
            const text = state.firstChild;
            text.data = text.data.replace("EPOCH", "another-epoch").replace("IN_PROGRESS", "QUEUED");
        }).observe(document, { childList: true, subtree: true });""".replace("EPOCH", epoch)
    )
    sights.open_task(task_id)
    sights.expect_status("In progress")
    gate.touch()
    sights.expect_status("Completed")
    expect(sights.page.locator("#steps > li")).to_have_count(3)
