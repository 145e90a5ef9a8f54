"""The task list of an instance: tasks of others appear and update live."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.page_actions import InstancePages


def test_a_task_submitted_elsewhere_appears_and_moves(pages: InstancePages) -> None:
    pages.open_tasks()
    expect(pages.page.locator("#empty")).to_be_visible()
    task_id = pages.deployment.submit(pages.instance, "probe", {"steps": 3}, title="From afar")
    expect(pages.row(task_id)).to_contain_text("From afar")
    expect(pages.row(task_id)).to_contain_text("Completed")
    expect(pages.row(task_id).locator("progress")).to_have_js_property("value", 100)
    expect(pages.page.locator("#empty")).to_be_hidden()
    pages.row(task_id).click()
    assert pages.task_opened() == task_id


def test_the_latest_task_comes_first(pages: InstancePages) -> None:
    pages.open_tasks()
    ids = [pages.deployment.submit(pages.instance, "echo", {"message": str(number)}) for number in range(3)]
    for task_id in ids:
        expect(pages.row(task_id)).to_contain_text("Completed")
    shown = pages.page.locator("#tasks > li").evaluate_all("rows => rows.map((row) => row.dataset.task)")
    assert shown == ids[::-1]


def test_a_filter_shows_only_matching_tasks(pages: InstancePages) -> None:
    good = pages.deployment.submit(pages.instance, "echo", {"message": "good"})
    bad = pages.deployment.submit(pages.instance, "probe", {"fail_at": 1, "error": "permanent"})
    pages.open_tasks()
    expect(pages.row(bad)).to_contain_text("Failed")
    pages.page.get_by_label("Status").select_option("Completed")
    expect(pages.row(bad)).to_have_count(0)
    expect(pages.row(good)).to_contain_text("Completed")
    # A task that starts to match the filter appears; another one does not.
    later = pages.deployment.submit(pages.instance, "echo", {"message": "later"})
    worse = pages.deployment.submit(pages.instance, "probe", {"fail_at": 1, "error": "permanent"})
    expect(pages.row(later)).to_contain_text("Completed")
    pages.deployment.wait_for_task(worse, "FAILED")
    pages.page.reload()
    expect(pages.page.locator("#tasks > li")).to_have_count(2)
    pages.page.get_by_label("Status").select_option("Any")
    pages.page.get_by_label("Kind").select_option("Probe")
    expect(pages.row(worse)).to_contain_text("Failed")
    expect(pages.page.locator("#tasks > li")).to_have_count(2)


def test_a_button_shows_older_tasks(pages: InstancePages) -> None:
    page_size = pages.deployment.settings.page_size
    ids = [pages.deployment.submit(pages.instance, "echo", {"message": str(n)}) for n in range(page_size + 5)]
    pages.open_tasks()
    expect(pages.page.locator("#tasks > li")).to_have_count(page_size)
    pages.page.get_by_role("button", name="Show more").click()
    expect(pages.page.locator("#tasks > li")).to_have_count(page_size + 5)
    expect(pages.page.get_by_role("button", name="Show more")).to_be_hidden()
    for task_id in ids:
        expect(pages.row(task_id)).to_contain_text("Completed")


def test_a_submitted_task_is_shown_from_its_event_without_another_request(pages: InstancePages) -> None:
    pages.open_tasks()
    asked: list[str] = []

    def note(url: str) -> None:
        # On a slow machine, the list asks why tasks wait.
        if "/api/v1/" in url and not url.endswith("limit=1"):
            asked.append(url)

    pages.page.on("request", lambda request: note(request.url))
    ids = [pages.deployment.submit(pages.instance, "echo", {"message": "x"}, title=f"Task {n}") for n in range(20)]
    for number, task_id in enumerate(ids):
        expect(pages.row(task_id)).to_contain_text("Completed")
        expect(pages.row(task_id)).to_contain_text(f"Task {number}")
        expect(pages.row(task_id)).to_contain_text("echo")
    assert asked == []


def test_a_filter_that_nothing_matches_says_so_and_can_be_undone(pages: InstancePages) -> None:
    task_id = pages.deployment.submit(pages.instance, "echo", {"message": "x"})
    pages.open_tasks("?status=FAILED")
    expect(pages.page.locator("#none-match")).to_contain_text("No task matches this filter.")
    expect(pages.page.locator("#empty")).to_be_hidden()
    pages.page.get_by_role("button", name="Show all").click()
    expect(pages.row(task_id)).to_contain_text("Completed")
    expect(pages.page.locator("#none-match")).to_be_hidden()
