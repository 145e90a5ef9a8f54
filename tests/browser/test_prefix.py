"""The pages under a path: a person signs in, submits and watches, and every request stays below that path."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from app.core.access import Role
from tests.browser.people import make_member, note_requests, watch_an_echo
from tests.harness.brisk import BRISK
from tests.harness.house import House
from tests.identity.bench import CHEAP


def test_everything_works_under_a_path(page: Page) -> None:
    with House(env={**BRISK, **CHEAP, "auth": "required", "url_prefix": "/team/live"}) as house:
        house.start_worker(wait=False)
        web = house.start_web()
        house.workers[0].wait_ready()
        instance = house.new_instance()
        make_member(house, "ada", Role.OPERATOR, instance)
        home, asked = f"{web.url}/team/live", list[str]()
        note_requests(page, asked)
        watch_an_echo(page, "ada", home, instance)
        assert page.url.startswith(f"{home}/tasks/")
        page.get_by_role("link", name="Event log").click()
        expect(page.locator("#url")).to_have_value(home)
        assert [url for url in asked if not url.startswith(f"{home}/")] == []
        assert any("/team/live/socket.io/" in url for url in asked)
