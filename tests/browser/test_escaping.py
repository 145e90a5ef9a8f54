"""What others write is shown as text, wherever it turns up: names, titles, input, output, messages, errors."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.sights import Sights
from tests.harness.house import House

PAYLOADS = {
    "script": "</script><script>window.caught = true</script>",
    "image": "<img src=x onerror='window.caught = true'>",
    "svg": "<svg onload='window.caught = true'><circle r=9 /></svg>",
    "markdown": "# Title\n\n[link](javascript:window.caught=true) ![pic](http://example.com/x.png) **bold**",
    "template": "{{ 7 * 7 }} ${7 * 7} &lt;b&gt;",
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_is_shown_as_text(payload: str, sights: Sights) -> None:
    title = payload.replace("\n", " ")
    task_id = sights.house.submit(
        sights.instance, "echo", {"message": payload, "data": {payload: payload}}, title=title
    )
    sights.house.wait_for_task(task_id, "COMPLETED")
    sights.open_task(task_id)
    sights.expect_status("Completed")
    sights.step("repeat").locator("summary").click()
    for place in ("#input", "#result", "#steps > li[data-key=repeat]"):
        assert payload in sights.page.locator(place).inner_text()
    expect(sights.page.get_by_role("heading", level=1)).to_have_text(title)
    assert_nothing_ran(sights)
    sights.open_tasks()
    expect(sights.row(task_id).locator("strong")).to_have_text(title)
    assert_nothing_ran(sights)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_message_and_an_error_are_shown_as_text(payload: str, house_with_test_agents: House, page: Page) -> None:
    sights = Sights(page, house_with_test_agents, house_with_test_agents.webs[0].url)
    task_id = sights.house.submit(sights.instance, "grumbler", {"words": payload})
    sights.open_task(task_id)
    sights.expect_status("Failed")
    sights.step("grumble").locator("summary").click()
    for place in ("#message", "#error", "#steps > li"):
        assert payload in sights.page.locator(place).inner_text()
    assert_nothing_ran(sights)


def assert_nothing_ran(sights: Sights) -> None:
    assert sights.page.evaluate("window.caught") is None
    # The brand's own picture is the only one, and the state's element the only script without a source.
    assert sights.page.locator("main img, main svg, main a[href^=javascript]").count() == 0
    assert sights.page.locator("script:not([src])").count() == 1
