"""An instance's task list: what others submit appears and moves by itself."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.page_actions import Sights


def test_a_task_submitted_elsewhere_appears_and_moves(sights: Sights) -> None:
    sights.open_tasks()
    expect(sights.page.locator("#empty")).to_be_visible()
    task_id = sights.deployment.submit(sights.instance, "probe", {"steps": 3}, title="From afar")
    expect(sights.row(task_id)).to_contain_text("From afar")
    expect(sights.row(task_id)).to_contain_text("Completed")
    expect(sights.row(task_id).locator("progress")).to_have_js_property("value", 100)
    expect(sights.page.locator("#empty")).to_be_hidden()
    sights.row(task_id).click()
    assert sights.task_opened() == task_id


def test_the_latest_task_comes_first(sights: Sights) -> None:
    sights.open_tasks()
    ids = [sights.deployment.submit(sights.instance, "echo", {"message": str(number)}) for number in range(3)]
    for task_id in ids:
        expect(sights.row(task_id)).to_contain_text("Completed")
    shown = sights.page.locator("#tasks > li").evaluate_all("rows => rows.map((row) => row.dataset.task)")
    assert shown == ids[::-1]


def test_a_filter_shows_only_what_belongs(sights: Sights) -> None:
    good = sights.deployment.submit(sights.instance, "echo", {"message": "good"})
    bad = sights.deployment.submit(sights.instance, "probe", {"fail_at": 1, "error": "permanent"})
    sights.open_tasks()
    expect(sights.row(bad)).to_contain_text("Failed")
    sights.page.get_by_label("Status").select_option("Completed")
    expect(sights.row(bad)).to_have_count(0)
    expect(sights.row(good)).to_contain_text("Completed")
    # One that comes to belong appears; another one never does.
    later = sights.deployment.submit(sights.instance, "echo", {"message": "later"})
    worse = sights.deployment.submit(sights.instance, "probe", {"fail_at": 1, "error": "permanent"})
    expect(sights.row(later)).to_contain_text("Completed")
    sights.deployment.wait_for_task(worse, "FAILED")
    sights.page.reload()
    expect(sights.page.locator("#tasks > li")).to_have_count(2)
    sights.page.get_by_label("Status").select_option("Any")
    sights.page.get_by_label("Kind").select_option("Probe")
    expect(sights.row(worse)).to_contain_text("Failed")
    expect(sights.page.locator("#tasks > li")).to_have_count(2)


def test_older_tasks_are_a_button_away(sights: Sights) -> None:
    page_size = sights.deployment.settings.page_size
    ids = [sights.deployment.submit(sights.instance, "echo", {"message": str(n)}) for n in range(page_size + 5)]
    sights.open_tasks()
    expect(sights.page.locator("#tasks > li")).to_have_count(page_size)
    sights.page.get_by_role("button", name="Show more").click()
    expect(sights.page.locator("#tasks > li")).to_have_count(page_size + 5)
    expect(sights.page.get_by_role("button", name="Show more")).to_be_hidden()
    for task_id in ids:
        expect(sights.row(task_id)).to_contain_text("Completed")


def test_what_is_submitted_is_shown_from_its_event_and_the_list_is_not_read_again(sights: Sights) -> None:
    sights.open_tasks()
    asked: list[str] = []
    sights.page.on("request", lambda request: asked.append(request.url) if "/api/v1/" in request.url else None)
    ids = [sights.deployment.submit(sights.instance, "echo", {"message": "x"}, title=f"Task {n}") for n in range(20)]
    for number, task_id in enumerate(ids):
        expect(sights.row(task_id)).to_contain_text("Completed")
        expect(sights.row(task_id)).to_contain_text(f"Task {number}")
        expect(sights.row(task_id)).to_contain_text("echo")
    assert asked == []


def test_a_filter_that_nothing_matches_says_so_and_can_be_undone(sights: Sights) -> None:
    task_id = sights.deployment.submit(sights.instance, "echo", {"message": "x"})
    sights.open_tasks("?status=FAILED")
    expect(sights.page.locator("#none-match")).to_contain_text("No task matches this filter.")
    expect(sights.page.locator("#empty")).to_be_hidden()
    sights.page.get_by_role("button", name="Show all").click()
    expect(sights.row(task_id)).to_contain_text("Completed")
    expect(sights.page.locator("#none-match")).to_be_hidden()
