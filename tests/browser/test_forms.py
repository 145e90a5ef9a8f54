"""The forms: made from the agent's schema, with each error at its field."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.page_actions import InstancePages, forgiving
from tests.harness.browser import Complaints

REFUSED = "422"


def test_every_kind_of_field_arrives_as_the_schema_wants_it(pages: InstancePages) -> None:
    page = pages.page
    pages.open_form("social_campaign")
    page.get_by_label("Brief", exact=True).fill("A lamp that follows the sun.\nIt is silent.")
    page.get_by_role("checkbox", name="mastodon").check()
    page.get_by_label("Tone").select_option("playful")
    page.get_by_label("Audience").fill("people at desks")
    page.get_by_text("Brand rules", exact=True).click()
    page.get_by_label("Banned words").fill("cheap\n\n  free  \n")
    page.get_by_label("Highest reading grade").fill("9.5")
    page.get_by_role("checkbox", name="Emoji allowed").uncheck()
    page.get_by_label("Most rounds").fill("2")
    page.get_by_text("More options").click()
    page.get_by_label("Title").fill("Autumn 🍂")
    pages.send()
    task = pages.deployment.task(pages.task_opened())
    assert task["title"] == "Autumn 🍂"
    assert task["input"] == {
        "brief": "A lamp that follows the sun.\nIt is silent.",
        "platforms": ["x", "linkedin", "instagram", "mastodon"],
        "tone": "playful",
        "audience": "people at desks",
        "brand": {
            "banned_words": ["cheap", "free"],
            "required_phrases": [],
            "max_reading_grade": 9.5,
            "max_exclamation_marks": 3,
            "allow_emoji": False,
        },
        "max_rounds": 2,
    }


def test_one_of_two_ways_to_give_the_brief(browser: tuple[Page, Complaints], pages: InstancePages) -> None:
    page = pages.page
    pages.open_form("social_campaign")
    page.get_by_label("Brief", exact=True).fill("This will not be sent.")
    page.get_by_text("Brief at an address", exact=True).click()
    expect(page.get_by_label("Brief", exact=True)).to_be_hidden()
    pages.send()
    expect(pages.error_at("input.brief_url")).to_have_text("This field is required")
    page.get_by_label("Address of the brief").fill("gopher://example.com")
    with forgiving(browser[1], REFUSED):
        pages.send()
        expect(pages.error_at("input.brief_url")).to_contain_text("gopher://example.com")
    page.get_by_label("Address of the brief").fill("http://127.0.0.1:1/brief")
    pages.send()
    options = pages.deployment.task(pages.task_opened())["input"]
    assert (options.get("brief"), options["brief_url"]) == (None, "http://127.0.0.1:1/brief")


def test_an_error_is_shown_at_its_field_and_can_be_corrected(
    browser: tuple[Page, Complaints], pages: InstancePages
) -> None:
    page = pages.page
    pages.open_form("social_campaign")
    page.get_by_label("Brief", exact=True).fill("A lamp.")
    page.get_by_text("Brand rules", exact=True).click()
    page.get_by_label("Most exclamation marks").fill("99")
    page.get_by_text("Brand rules", exact=True).click()
    for name in ("x", "linkedin", "instagram"):
        page.get_by_role("checkbox", name=name, exact=True).uncheck()
    with forgiving(browser[1], REFUSED):
        pages.send()
        expect(pages.error_at("input.brand.max_exclamation_marks")).to_contain_text("maximum of 20")
        expect(pages.error_at("input.platforms")).to_be_visible()
    # Collapsed parts are opened, and the first wrong field has the focus.
    expect(page.get_by_label("Most exclamation marks")).to_be_visible()
    expect(page.locator("[aria-invalid=true]").first).to_be_focused()
    assert pages.deployment.events(pages.instance) == []
    page.get_by_label("Most exclamation marks").fill("5")
    page.get_by_role("checkbox", name="x", exact=True).check()
    pages.send()
    pages.task_opened()


def test_numbers_choices_and_switches_of_another_agent(pages: InstancePages) -> None:
    page = pages.page
    pages.open_form("echo")
    page.get_by_role("radio", name="Probe").check()
    page.get_by_label("Steps", exact=True).fill("2")
    page.get_by_label("Kind of failure").select_option("permanent")
    page.get_by_role("checkbox", name="Blocking").check()
    pages.send()
    options = pages.deployment.task(pages.task_opened())["input"]
    assert (options["steps"], options["error"], options["blocking"], options.get("fail_at")) == (
        2,
        "permanent",
        True,
        None,
    )
    pages.expect_status("Completed")


def test_a_field_that_no_form_element_fits_is_entered_as_json(pages: InstancePages) -> None:
    page = pages.page
    pages.open_form("echo")
    page.get_by_label("Message", exact=True).fill("Hello")
    page.get_by_label("Data").fill("{not json")
    pages.send()
    expect(pages.error_at("input.data")).to_contain_text("Must be JSON")
    page.get_by_label("Data").fill('{"deep": [1, {"er": null}]}')
    pages.send()
    options = pages.deployment.task(pages.task_opened())["input"]
    assert options == {"message": "Hello", "data": {"deep": [1, {"er": None}]}}


def test_a_file_that_is_not_text_is_refused(pages: InstancePages) -> None:
    pages.open_form("social_campaign")
    chooser = pages.page.get_by_label("or load a text file")
    chooser.set_input_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff\xe0\x00"})
    expect(pages.page.get_by_text("photo.jpg is not a text file in UTF-8")).to_be_visible()
    expect(pages.page.get_by_label("Brief", exact=True)).to_have_value("")


def test_two_clicks_make_one_task(pages: InstancePages) -> None:
    pages.open_form("echo")
    pages.page.get_by_label("Message", exact=True).fill("once")
    pages.page.get_by_role("button", name="Submit task").dblclick()
    pages.task_opened()
    pages.expect_status("Completed")
    assert len({event["task_id"] for event in pages.deployment.events(pages.instance)}) == 1


def test_an_instance_is_created(browser: tuple[Page, Complaints], pages: InstancePages) -> None:
    page = pages.page
    for name, has_error in (("first", False), ("again", True)):
        page.goto(pages.url)
        page.get_by_label("Name").fill(name)
        page.get_by_label("Id").fill(f"made-{pages.instance[:8]}")
        with forgiving(browser[1], "409"):
            page.get_by_role("button", name="Create").click()
            if has_error:
                expect(pages.error_at("id")).to_be_visible()
            else:
                expect(page.get_by_role("heading", name="first")).to_be_visible()


def test_every_control_has_a_name(pages: InstancePages) -> None:
    nameless = """() => [...document.querySelectorAll("input, select, textarea, button, progress")]
        .filter((control) => !control.labels?.length && !control.ariaLabel && !control.textContent.trim())
        .filter((control) => !control.getAttribute("aria-labelledby"))
        .map((control) => control.outerHTML)"""
    task_id = pages.deployment.submit(pages.instance, "echo", {"message": "x"})
    paths = ["/", *(f"/instances/{pages.instance}{more}" for more in ("", "/new", "/schedules", "/settings"))]
    for path in [*paths, f"/tasks/{task_id}", "/docs/websocket_client_example.html"]:
        pages.page.goto(pages.url + path)
        assert pages.page.evaluate(nameless) == [], path


def test_the_form_works_by_keyboard_alone(pages: InstancePages) -> None:
    page = pages.page
    pages.open_form("echo")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="Echo")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Use a sample")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type("by keyboard")
    page.get_by_role("button", name="Submit task").focus()
    page.keyboard.press("Enter")
    assert pages.deployment.task(pages.task_opened())["input"] == {"message": "by keyboard"}
