"""The pages under a path prefix: sign-in, submission and live updates stay below the prefix."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from swallowtail.app.core.security.roles import Role
from tests.browser.signed_in_users import follow_an_echo, make_member, note_requests
from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK
from tests.identity.bench import CHEAP


def test_everything_works_under_a_path(page: Page) -> None:
    with Deployment(env={**BRISK, **CHEAP, "auth": "required", "url_prefix": "/team/live"}) as deployment:
        deployment.start_worker(wait=False)
        web = deployment.start_web()
        deployment.workers[0].wait_ready()
        instance = deployment.new_instance()
        make_member(deployment, "ada", Role.OPERATOR, instance)
        home, asked = f"{web.url}/team/live", list[str]()
        note_requests(page, asked)
        follow_an_echo(page, "ada", home, instance)
        assert page.url.startswith(f"{home}/tasks/")
        page.get_by_role("link", name="Client example").click()
        expect(page.locator("#url")).to_have_value(home)
        assert [url for url in asked if not url.startswith(f"{home}/")] == []
        assert any("/team/live/socket.io/" in url for url in asked)
