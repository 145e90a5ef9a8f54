"""What others write is shown as text, wherever it turns up: names, titles, input, output, messages, errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from swallowtail.app.core.services import schedules as schedule_service
from swallowtail.app.core.services import tasks as task_service
from tests.browser.page_actions import Sights
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
#: Counts what the policy refused, from the first script of a page on.
WATCH = "window.violations = []; addEventListener('securitypolicyviolation', (e) => violations.push(e.blockedURI))"


@contextmanager
def careful(page: Page) -> Iterator[None]:
    """Afterwards, nothing has run, nothing was asked for and nothing was refused."""
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    page.add_init_script(WATCH)
    yield
    assert dialogs == []


@contextmanager
def opening(gate: Path) -> Iterator[None]:
    """Let the step end in any case: it would keep the worker from the next test's."""
    try:
        yield
    finally:
        gate.touch()


@pytest.fixture(params=PAYLOADS)
def payload(request: pytest.FixtureRequest) -> str:
    return PAYLOADS[request.param]


def line_of(payload: str, longest: int = 200) -> str:
    """The payload as a line: what names and titles may be."""
    return " ".join(payload.split())[:longest]


def test_a_payload_is_shown_as_text(payload: str, sights: Sights) -> None:
    title = line_of(payload)
    options = {"message": payload, "data": {payload: payload}}
    with careful(sights.page):
        task_id = sights.deployment.submit(sights.instance, "echo", options, title=title)
        sights.deployment.wait_for_task(task_id, "COMPLETED")
        sights.open_task(task_id)
        sights.expect_status("Completed")
        sights.step("repeat").locator("summary").click()
        for place in ("#input", "#result", "#steps > li[data-key=repeat]"):
            shown = sights.page.locator(place)
            # A step's output is asked for when the step is opened.
            wait_until(lambda shown=shown: payload in (shown.text_content() or ""), f"{place} shows it")  # type: ignore[misc]
        expect(sights.page.get_by_role("heading", level=1)).to_have_text(title)
        assert title in sights.page.title().replace("\u2026", "") or len(title) > 100
        assert_nothing_ran(sights)
        sights.open_tasks()
        row = sights.row(task_id).locator("strong")
        expect(row).to_have_text(title)
        # Isolated as well, and read from the side on which the text itself begins.
        assert row.evaluate("element => getComputedStyle(element).unicodeBidi") == "plaintext"
        assert_nothing_ran(sights)


def test_what_an_agent_says_while_it_works_is_shown_as_text(
    payload: str, deployment_with_test_agents: Deployment, page: Page, tmp_path: Path
) -> None:
    sights = Sights(page, deployment_with_test_agents, deployment_with_test_agents.webs[0].url)
    line = "".join(letter for letter in line_of(payload, 100) if letter.isprintable())
    gate = tmp_path / "go"
    with careful(page), opening(gate):
        task_id = sights.deployment.submit(
            sights.instance, "parrot", {"words": payload, "path": str(gate)}, title="Parrot"
        )
        sights.open_task(task_id)
        step = page.locator("#steps > li")
        expect(step.locator("[data-slot=agent]")).to_have_text(line)
        expect(step.locator("[data-slot=action]")).to_have_text(line)
        expect(step.locator("[data-slot=stream]")).to_contain_text(payload)
        expect(page.locator("#message")).to_contain_text(payload[:200])
        assert_nothing_ran(sights)
        gate.touch()
        sights.expect_status("Completed")
        expect(page.locator("#result")).to_contain_text(payload)
        step.locator("summary").click()
        expect(step.locator("[data-slot=output]")).to_contain_text(payload)
        expect(step.locator("[data-slot=key]")).to_have_text(line)
        assert_nothing_ran(sights)


def test_a_message_and_an_error_are_shown_as_text(
    payload: str, deployment_with_test_agents: Deployment, page: Page
) -> None:
    sights = Sights(page, deployment_with_test_agents, deployment_with_test_agents.webs[0].url)
    with careful(page):
        task_id = sights.deployment.submit(sights.instance, "grumbler", {"words": payload})
        sights.open_task(task_id)
        sights.expect_status("Failed")
        sights.step("grumble").locator("summary").click()
        for place in ("#message", "#error", "#steps > li"):
            expect(page.locator(place)).to_contain_text(payload[:500])
        assert_nothing_ran(sights)


def test_names_of_instances_and_schedules_are_shown_as_text(payload: str, sights: Sights) -> None:
    runtime, name = sights.deployment.runtime(), line_of(payload)
    with careful(sights.page):
        instance = sights.instance = task_service.create_instance(runtime, name)["id"]
        wish = schedule_service.NewSchedule(instance, name, "echo", {"message": payload}, interval_seconds=86_400)
        schedule_service.add_schedule(runtime, wish)
        sights.page.goto(f"{sights.url}/instances/{instance}/schedules")
        sights.expect_connection("Live")
        expect(sights.page.locator("#schedules strong")).to_have_text(name)
        expect(sights.page.get_by_role("heading", level=1)).to_have_text(name)
        sights.page.get_by_role("button", name="Remove").click()
        expect(sights.page.locator("#confirm [data-slot=name]")).to_have_text(name)
        assert_nothing_ran(sights)
        for path in ("", "/new", "/audit", "/settings"):
            sights.page.goto(f"{sights.url}/instances/{instance}{path}")
            expect(sights.page.locator("main")).to_contain_text(name)
            assert_nothing_ran(sights)


def test_the_event_log_shows_text(payload: str, sights: Sights) -> None:
    page = sights.page
    with careful(page):
        page.goto(f"{sights.url}/docs/websocket_client_example.html?instance={sights.instance}")
        page.get_by_role("button", name="Connect", exact=True).click()
        page.get_by_role("button", name="Subscribe", exact=True).click()
        expect(page.locator("#log [data-name=subscribed]")).to_have_count(1)
        task_id = sights.deployment.submit(sights.instance, "echo", {"message": payload}, title=line_of(payload))
        sights.deployment.wait_for_task(task_id, "COMPLETED")
        expect(page.locator("#log [data-name=task_update]", has_text="COMPLETED")).to_have_count(1)
        assert page.evaluate("[window.caught, window.violations]") == [None, []]
        assert page.locator("main img, main svg, main iframe, main a[href^=javascript]").count() == 0


def assert_nothing_ran(sights: Sights) -> None:
    page = sights.page
    assert page.evaluate("[window.caught, window.violations]") == [None, []]
    # The brand's own picture is the only one, and the state's element the only script without a source.
    foreign = "main img, main svg, main iframe, main math, main style, base, main a[href^=javascript]"
    assert page.locator(foreign).count() == 0
    assert page.locator("script:not([src]):not(#state)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
