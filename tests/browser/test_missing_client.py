"""A page without an installed Socket.IO client shows which command installs it."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from playwright.sync_api import Page, Route, expect

from swallowtail.app.web.pages import missing_client
from tests.browser.page_actions import InstancePages, forgiving
from tests.harness.browser import Complaints
from tests.harness.deployment import Deployment


def test_a_page_names_the_command_to_run(
    browser: tuple[Page, Complaints], shared_deployment: Deployment, tmp_path: Path
) -> None:
    page, complaints = browser
    pages = InstancePages(page, shared_deployment, shared_deployment.webs[0].url)
    app = Flask(__name__)
    missing_client.register(app, tmp_path)

    def answer(route: Route) -> None:
        options = app.test_client().get(route.request.url.partition("?")[0])
        route.fulfill(body=options.text, content_type=options.content_type)

    page.route("**/static/vendor/*", answer)
    with forgiving(complaints, "Socket.IO client"):
        for path in (f"/instances/{pages.instance}", "/docs/websocket_client_example.html"):
            page.goto(f"{pages.url}{path}")
            expect(page.locator("#connection .label")).to_have_text(missing_client.REMEDY)
