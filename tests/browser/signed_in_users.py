"""Users who sign in to the pages, each in a browser of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect

from swallowtail.app.core.events import now
from swallowtail.app.core.identity import users
from swallowtail.app.core.security.roles import Role
from swallowtail.app.core.tables.auth import Membership
from tests.harness.browser import Complaints, open_page
from tests.harness.deployment import Deployment
from tests.identity.bench import PASSWORD


def make_member(deployment: Deployment, name: str, role: Role, instance_id: str) -> None:
    """Create a user with a role in an instance."""
    user = users.create_user(deployment.runtime(), name, PASSWORD)
    with deployment.runtime().db.write() as session:
        session.add(Membership(instance_id=instance_id, user_id=user["id"], role=role.value, created_at=now()))


def sign_in(page: Page, name: str) -> None:
    """Submit the sign-in form to which a page has redirected."""
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def note_requests(page: Page, urls: list[str]) -> None:
    """Record the URL of every request of a page, also of websockets."""
    page.on("request", lambda request: urls.append(request.url))
    page.on("websocket", lambda socket: urls.append(socket.url.replace("ws://", "http://")))


def follow_an_echo(page: Page, name: str, home: str, instance: str) -> None:
    """Sign in at the URL `home`, submit an echo task there, and follow it to its end."""
    page.goto(f"{home}/instances/{instance}")
    sign_in(page, name)
    expect(page).to_have_url(f"{home}/instances/{instance}")
    expect(page.locator("#connection")).to_have_text("Live")
    page.get_by_role("link", name="New task").click()
    page.get_by_role("radio", name="Echo").check()
    page.get_by_label("Message").fill("hello")
    page.get_by_role("button", name="Submit task").click()
    expect(page.locator("#status")).to_have_text("Completed")


@contextmanager
def another_browser(page: Page) -> Iterator[tuple[Page, Complaints]]:
    """Open a page with a separate browser context; its complaints must be empty at the end."""
    assert page.context.browser is not None
    with open_page(page.context.browser) as (other, complaints):
        yield other, complaints
        assert complaints.problems == []
