"""Untrusted text is shown as text everywhere: names, titles, input, output, messages, errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services import schedules as schedule_service
from swallowtail.app.core.services.instances import create_instance
from tests.browser.page_actions import InstancePages
from tests.harness.deployment import Deployment
from tests.harness.waiting import wait_until

CATCH = "window.caught = true"
PAYLOADS = {
    "script": f"</script><script>{CATCH}; alert(1)</script>",
    "image": f"<img src=x onerror='{CATCH}'>\"'><iframe srcdoc='<script>parent.{CATCH}</script>'></iframe>",
    "svg": f"<svg onload='{CATCH}'><circle r=9 /><use href='data:image/svg+xml,x#x' /></svg><math><mi>x</mi></math>",
    "markdown": f"# Title\n\n[link](javascript:{CATCH}) ![pic](http://example.com/x.png) **bold** <{CATCH}>",
    "link": f"javascript:{CATCH} http://example.com/ data:text/html,<script>{CATCH}</script>",
    "entities": "&lt;b&gt; &#60;script&#62; &amp;amp; &NewLine; %3Cscript%3E \\u003cscript\\u003e",
    "template": "{{ 7 * 7 }} ${7 * 7} {% raw %} <%= 7 * 7 %> #{7 * 7} [[7 * 7]]",
    "comment": "<!--<script> --!> ]]> <![CDATA[ <style>*{display:none}</style> <base href=//example.com/>",
    "direction": "safe \u202etxt.exe\u2066 \u200f\u061c and no end",
    "long": "W" * 2000,
}
#: Counts violations of the Content-Security-Policy from the first script on.
WATCH = "window.violations = []; addEventListener('securitypolicyviolation', (e) => violations.push(e.blockedURI))"


@contextmanager
def careful(page: Page) -> Iterator[None]:
    """Check afterwards that no script ran, nothing was requested and nothing was blocked."""
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    page.add_init_script(WATCH)
    yield
    assert dialogs == []


@contextmanager
def releasing(release: Path) -> Iterator[None]:
    """End the step in any case: it would block the worker for the next test."""
    try:
        yield
    finally:
        release.touch()


@pytest.fixture(params=PAYLOADS)
def payload(request: pytest.FixtureRequest) -> str:
    return PAYLOADS[request.param]


def line_of(payload: str, longest: int = 200) -> str:
    """Return the payload on one line, as names and titles require."""
    return " ".join(payload.split())[:longest]


def test_a_payload_is_shown_as_text(payload: str, pages: InstancePages) -> None:
    title = line_of(payload)
    options = {"message": payload, "data": {payload: payload}}
    with careful(pages.page):
        task_id = pages.deployment.submit(pages.instance, "echo", options, title=title)
        pages.deployment.wait_for_task(task_id, "COMPLETED")
        pages.open_task(task_id)
        pages.expect_status("Completed")
        pages.step("repeat").locator("summary").click()
        for place in ("#input", "#result", "#steps > li[data-key=repeat]"):
            shown = pages.page.locator(place)
            # A step's output is loaded when the step is opened.
            wait_until(lambda shown=shown: payload in (shown.text_content() or ""), f"{place} shows it")  # type: ignore[misc]
        expect(pages.page.get_by_role("heading", level=1)).to_have_text(title)
        assert title in pages.page.title().replace("\u2026", "") or len(title) > 100
        assert_nothing_ran(pages)
        pages.open_tasks()
        row = pages.row(task_id).locator("strong")
        expect(row).to_have_text(title)
        # Isolated as well, and aligned by the direction of the text.
        assert row.evaluate("element => getComputedStyle(element).unicodeBidi") == "plaintext"
        assert_nothing_ran(pages)


def test_progress_and_streamed_text_of_an_agent_are_shown_as_text(
    payload: str, deployment_with_test_agents: Deployment, page: Page, tmp_path: Path
) -> None:
    pages = InstancePages(page, deployment_with_test_agents, deployment_with_test_agents.webs[0].url)
    line = "".join(letter for letter in line_of(payload, 100) if letter.isprintable())
    release = tmp_path / "go"
    with careful(page), releasing(release):
        task_id = pages.deployment.submit(
            pages.instance, "parrot", {"words": payload, "path": str(release)}, title="Parrot"
        )
        pages.open_task(task_id)
        step = page.locator("#steps > li")
        expect(step.locator("[data-slot=agent]")).to_have_text(line)
        expect(step.locator("[data-slot=action]")).to_have_text(line)
        expect(step.locator("[data-slot=stream]")).to_contain_text(payload)
        expect(page.locator("#message")).to_contain_text(payload[:200])
        assert_nothing_ran(pages)
        release.touch()
        pages.expect_status("Completed")
        expect(page.locator("#result")).to_contain_text(payload)
        step.locator("summary").click()
        expect(step.locator("[data-slot=output]")).to_contain_text(payload)
        expect(step.locator("[data-slot=key]")).to_have_text(line)
        assert_nothing_ran(pages)


def test_a_message_and_an_error_are_shown_as_text(
    payload: str, deployment_with_test_agents: Deployment, page: Page
) -> None:
    pages = InstancePages(page, deployment_with_test_agents, deployment_with_test_agents.webs[0].url)
    with careful(page):
        task_id = pages.deployment.submit(pages.instance, "grumbler", {"words": payload})
        pages.open_task(task_id)
        pages.expect_status("Failed")
        pages.step("grumble").locator("summary").click()
        for place in ("#message", "#error", "#steps > li"):
            expect(page.locator(place)).to_contain_text(payload[:500])
        assert_nothing_ran(pages)


def test_names_of_instances_and_schedules_are_shown_as_text(payload: str, pages: InstancePages) -> None:
    runtime, name = pages.deployment.runtime(), line_of(payload)
    with careful(pages.page):
        instance = pages.instance = create_instance(runtime, name)["id"]
        schedule = NewSchedule(name=name, kind="echo", input={"message": payload}, interval_seconds=86_400)
        schedule_service.add_schedule(runtime, instance, schedule)
        pages.page.goto(f"{pages.url}/instances/{instance}/schedules")
        pages.expect_connection("Live")
        expect(pages.page.locator("#schedules strong")).to_have_text(name)
        expect(pages.page.get_by_role("heading", level=1)).to_have_text(name)
        pages.page.get_by_role("button", name="Remove").click()
        expect(pages.page.locator("#confirm [data-slot=name]")).to_have_text(name)
        assert_nothing_ran(pages)
        for path in ("", "/new", "/audit", "/settings"):
            pages.page.goto(f"{pages.url}/instances/{instance}{path}")
            expect(pages.page.locator("main")).to_contain_text(name)
            assert_nothing_ran(pages)


def test_the_event_log_shows_text(payload: str, pages: InstancePages) -> None:
    page = pages.page
    with careful(page):
        page.goto(f"{pages.url}/docs/websocket_client_example.html?instance={pages.instance}")
        page.get_by_role("button", name="Connect", exact=True).click()
        page.get_by_role("button", name="Subscribe", exact=True).click()
        expect(page.locator("#log [data-name=subscribed]")).to_have_count(1)
        task_id = pages.deployment.submit(pages.instance, "echo", {"message": payload}, title=line_of(payload))
        pages.deployment.wait_for_task(task_id, "COMPLETED")
        expect(page.locator("#log [data-name=task_update]", has_text="COMPLETED")).to_have_count(1)
        assert page.evaluate("[window.caught, window.violations]") == [None, []]
        assert page.locator("main img, main svg, main iframe, main a[href^=javascript]").count() == 0


def assert_nothing_ran(pages: InstancePages) -> None:
    page = pages.page
    assert page.evaluate("[window.caught, window.violations]") == [None, []]
    # The logo is the only image, and the state is the only script without a source.
    foreign = "main img, main svg, main iframe, main math, main style, base, main a[href^=javascript]"
    assert page.locator(foreign).count() == 0
    assert page.locator("script:not([src]):not(#state)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
