"""Readability of the pages: visibility, width and contrast."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from swallowtail.app.core.identity import users
from tests.browser.page_actions import InstancePages
from tests.browser.signed_in_users import sign_in
from tests.harness.deployment import Deployment
from tests.identity.bench import PASSWORD

#: The WCAG contrast ratio of an element's text and its background.
CONTRAST = """element => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  let behind = element;
  while (behind && (numbers(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
  const colours = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
  const [one, other] = colours.map(numbers).map(light);
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""
LEAST_CONTRAST = 4.5
#: Whether the first letter of an element's text is visible.
FIRST_LETTER = """element => {
  const range = document.createRange();
  range.setStart(element.firstChild, 0);
  range.setEnd(element.firstChild, 1);
  const [letter, box] = [range, element].map((one) => one.getBoundingClientRect());
  return letter.left >= box.left - 1 && letter.right <= box.right + 1;
}"""


def test_a_failed_task_shows_its_error_and_step_without_a_click(pages: InstancePages) -> None:
    task_id = pages.deployment.submit(pages.instance, "probe", {"steps": 2, "fail_at": 2, "failures": 9})
    pages.deployment.wait_for_task(task_id, "FAILED")
    pages.open_task(task_id)
    expect(pages.page.locator("#error [data-slot=code]")).to_have_text("exception · ProbeError")
    row = pages.step("step-2")
    expect(row.locator("[data-slot=key]")).to_be_visible()
    expect(row.locator("[data-slot=error]")).to_be_visible()
    expect(row.locator("[data-slot=error]")).to_have_text("ProbeError: step 2 fails, as asked")


def test_a_list_in_a_steps_output_folds_as_a_line_of_its_own(pages: InstancePages) -> None:
    task_id = pages.deployment.submit(pages.instance, "echo", {"message": "x", "data": {"list": list(range(40))}})
    pages.deployment.wait_for_task(task_id, "COMPLETED")
    pages.open_task(task_id)
    pages.step("repeat").locator("summary").first.click()
    inner = pages.step("repeat").locator("details details > summary")
    expect(inner).to_be_visible()
    assert inner.evaluate("summary => getComputedStyle(summary).display") == "list-item"


def test_columns_of_a_table_stay_wide_enough_for_words(pages: InstancePages) -> None:
    task_id = pages.deployment.submit(pages.instance, "probe", {"seconds": 60})
    pages.page.set_viewport_size({"width": 390, "height": 800})
    pages.open_task(task_id)
    pages.page.get_by_role("button", name="Cancel").click()
    pages.expect_status("Cancelled")
    pages.page.goto(f"{pages.url}/instances/{pages.instance}/audit")
    cells = pages.page.locator("table td:has(code)")
    expect(cells.first).to_contain_text("task.cancel")
    assert min(cells.evaluate_all("cells => cells.map((cell) => cell.clientWidth)")) > 60
    assert pages.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "only the table scrolls"
    ends = pages.page.locator("header nav a").evaluate_all("all => all.map((one) => one.getBoundingClientRect().right)")
    assert max(ends) <= 390, "no link is cut off"


def test_the_page_of_the_api_is_readable_in_the_dark(page: Page, pages: InstancePages) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{pages.url}/api/docs")
    for selector in ("summary .method", "summary span", "summary code", ".api > p", ".api nav a", "h2", "h1 small"):
        worst = page.locator(selector).evaluate_all(f"all => Math.min(...all.map({CONTRAST}))")
        assert worst >= LEAST_CONTRAST, selector


def test_the_filters_of_the_audit_log_are_on_one_line(pages: InstancePages) -> None:
    pages.page.set_viewport_size({"width": 1440, "height": 900})
    pages.page.goto(f"{pages.url}/instances/{pages.instance}/audit")
    parts = pages.page.locator("form.filter input, form.filter button")
    middles = parts.evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect()).map((box) => box.y + box.height / 2)"
    )
    assert len(middles) == 3
    assert max(middles) - min(middles) < 4


def test_headings_are_not_broken_in_the_middle_of_a_word_on_a_small_screen(pages: InstancePages) -> None:
    pages.page.set_viewport_size({"width": 390, "height": 800})
    pages.page.goto(f"{pages.url}/docs/websocket_client_example.html")
    title = pages.page.locator("#log-title")
    lines = title.evaluate("one => one.getBoundingClientRect().height / parseFloat(getComputedStyle(one).fontSize)")
    assert lines < 2
    assert pages.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_adjacent_controls_align_with_and_without_hints(pages: InstancePages) -> None:
    pages.page.set_viewport_size({"width": 1440, "height": 900})
    pages.page.goto(f"{pages.url}/instances/{pages.instance}/schedules")
    pages.page.locator("#add-panel").evaluate("panel => { panel.open = true; }")
    pair = pages.page.locator(".pair", has=pages.page.get_by_label("Cron expression"))
    assert_one_line(pair.locator("input"))


def test_an_error_at_one_control_does_not_move_the_control_beside_it(pages: InstancePages) -> None:
    pages.page.set_viewport_size({"width": 1440, "height": 900})
    pages.page.goto(f"{pages.url}/instances/{pages.instance}/settings")
    form = pages.page.locator("#add")
    form.get_by_role("button", name="Add").click()
    expect(form.locator(".field-error")).to_have_text("This field is required")
    assert_one_line(form.locator("input, select"))


def assert_one_line(controls: Locator) -> None:
    """Assert that two controls begin and end at the same height."""
    places = controls.evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect()).map((box) => [box.top, box.bottom])"
    )
    assert len(places) == 2
    assert places[0] == places[1]


def test_a_task_says_its_status_once(pages: InstancePages) -> None:
    task_id = pages.deployment.submit(pages.instance, "echo", {"message": "x"})
    pages.deployment.wait_for_task(task_id, "COMPLETED")
    pages.open_task(task_id)
    expect(pages.page.locator(".status-line")).to_have_text(re.compile(r"^\s*Completed\s+100 %\s*$"))
    pages.open_tasks()
    expect(pages.row(task_id).get_by_text("Completed")).to_have_count(1)


def test_a_dialog_keeps_a_margin_on_a_small_screen(pages: InstancePages) -> None:
    path = f"/instances/{pages.instance}/schedules"
    name = "A long name of a schedule, so long that it needs more than one line"
    body = {"name": name, "kind": "echo", "interval_seconds": 86_400, "input": {"message": "x"}}
    assert pages.page.request.post(f"{pages.url}/api/v1{path}", data=body).status == 201
    pages.page.set_viewport_size({"width": 390, "height": 800})
    pages.page.goto(pages.url + path)
    expect(pages.page.locator("[data-slot=timing]")).to_have_text("every day")
    pages.page.get_by_role("button", name="Remove").first.click()
    box = pages.page.locator("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 10
    assert box["x"] + box["width"] <= 380


def test_the_details_of_an_audit_entry_are_not_cut_off(page: Page, authenticated_deployment: Deployment) -> None:
    users.create_user(authenticated_deployment.runtime(), "adele", PASSWORD, is_superuser=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{authenticated_deployment.webs[0].url}/audit")
    sign_in(page, "adele")
    expect(page.locator("#audit")).to_contain_text("session.open")
    assert page.locator(".scroll").evaluate("box => box.scrollWidth <= box.clientWidth")


def test_a_name_from_right_to_left_is_cut_off_at_its_end(pages: InstancePages) -> None:
    pages.deployment.submit(pages.instance, "echo", {"message": "x"}, title="\u0645\u0631\u062d\u0628\u0627 " * 30)
    pages.page.set_viewport_size({"width": 390, "height": 800})
    pages.open_tasks()
    title = pages.page.locator("#tasks [data-slot=title]")
    assert title.evaluate("one => one.scrollWidth > one.clientWidth"), "it is cut off"
    assert title.evaluate(FIRST_LETTER), "its first letter is seen"


def test_an_error_page_ends_its_sentence_once(pages: InstancePages) -> None:
    response = pages.page.request.get(f"{pages.url}/nothing/here", headers={"Accept": "text/html"})
    assert response.status == 404
    assert "</h1>" in response.text()
    assert ".." not in response.text().partition("</h1>")[2].partition("</div>")[0]


def test_the_page_of_a_malformed_address_says_that_the_address_is_wrong(pages: InstancePages) -> None:
    response = pages.page.request.get(f"{pages.url}/tasks/nothing")
    assert response.status == 404
    assert "The address is not valid: task_id must be a UUID." in response.text()
