"""Members, API tokens, policy, export and deletion on the settings page of an instance, seen by others at once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from swallowtail.app.core.identity import users
from swallowtail.app.core.security.roles import Role
from tests.browser.page_actions import InstancePages, forgiving
from tests.browser.signed_in_users import another_browser, make_member, sign_in
from tests.harness.browser import Complaints
from tests.harness.deployment import Deployment
from tests.identity.bench import PASSWORD

HOSTILE = "<img src=x onerror='window.caught = true'><script>window.caught = true</script>"


def open_settings(
    page: Page, deployment: Deployment, name: str, role: Role = Role.OWNER, called: str = "Test"
) -> InstancePages:
    """Create an instance, sign a member in, and open its settings page."""
    pages = InstancePages(page, deployment, deployment.webs[0].url)
    pages.instance = deployment.new_instance(called)
    make_member(deployment, name, role, pages.instance)
    page.goto(f"{pages.url}/instances/{pages.instance}/settings")
    sign_in(page, name)
    expect(page.get_by_role("heading", name="Members")).to_be_visible()
    return pages


def nothing_ran(page: Page) -> bool:
    return bool(page.evaluate("window.caught === undefined")) and page.locator("main img").count() == 0


def create_token(page: Page, name: str) -> str:
    """Create a token on the page and return its secret."""
    page.locator("#create-token").get_by_label("Name").fill(name)
    page.locator("#create-token [type=submit]").click()
    shown = page.locator("#created-token pre")
    expect(shown).to_have_text(re.compile(r"^[\w-]+\.[\w-]+\.[\w-]+$"))
    secret: str = shown.inner_text()
    page.get_by_role("button", name="Done").click()
    expect(shown).to_be_hidden()
    assert secret not in page.content()
    return secret


@pytest.mark.long
def test_an_owner_manages_an_instance_from_its_first_member_to_its_deletion(
    browser: tuple[Page, Complaints], authenticated_deployment: Deployment
) -> None:
    page, complaints = browser
    mia = users.create_user(authenticated_deployment.runtime(), "mia", PASSWORD)
    pages = open_settings(page, authenticated_deployment, "oona", called=HOSTILE)
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    # The last owner cannot be removed: the page offers no action.
    expect(page.locator("#members li")).to_have_count(1)
    expect(page.locator("#members li .schedule-actions")).to_be_hidden()
    add_member(page, complaints, mia["id"])
    with another_browser(page) as (member_page, member_complaints):
        member_page.goto(pages.url)
        sign_in(member_page, "mia")
        member_page.get_by_role("link", name=pages.instance).click()
        expect(member_page.locator("#connection")).to_have_text("Live")
        expect(member_page.get_by_role("link", name="Settings")).to_have_count(0)
        make_operator(page)
        member_page.reload()
        expect(member_page.get_by_role("link", name="New task")).to_be_visible()

        page.get_by_role("heading", name="Create token").click()
        secret = create_token(page, HOSTILE)
        expect(page.locator("#tokens li [data-slot=name]")).to_have_text(HOSTILE)
        connect_by_token_until_revoked(page, pages, secret)
        delete_instance(page, complaints, pages)
        with forgiving(member_complaints, "404"):
            member_page.reload()
            expect(member_page.get_by_role("heading", name="Page not found")).to_be_visible()


def add_member(page: Page, complaints: Complaints, user_id: str) -> None:
    """Add `mia` by user id; by name, the page must not reveal that the user exists."""
    form = page.locator("#add")
    with forgiving(complaints, "404"):
        for name in ("nobody.knows", "Mia"):
            form.get_by_label("User").fill(name)
            form.get_by_role("button", name="Add").click()
            expect(form.locator("[data-field=name] > .field-error")).to_contain_text("no such user")
    form.get_by_label("User").fill(user_id)
    form.get_by_role("button", name="Add").click()
    expect(page.locator("#members li[data-member=mia] [data-slot=role]")).to_have_text("Viewer")


def make_operator(page: Page) -> None:
    """Change the role of `mia`."""
    row = page.locator("#members li[data-member=mia]")
    row.get_by_role("combobox").select_option("operator")
    row.get_by_role("button", name="Change").click()
    expect(row.locator("[data-slot=role]")).to_have_text("Operator")


def delete_instance(page: Page, complaints: Complaints, pages: InstancePages) -> None:
    """Delete the instance, at first with a wrong id."""
    form = page.locator("#delete")
    with forgiving(complaints, "422"):
        form.get_by_role("textbox").fill("not this one")
        form.get_by_role("button").click()
        expect(form.locator("[data-field=confirm] > .field-error")).to_have_text("Must be the instance's id")
    assert pages.deployment.events(pages.instance) != []
    assert nothing_ran(page)
    form.get_by_role("textbox").fill(pages.instance)
    form.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Instances")).to_be_visible()
    expect(page.get_by_text(pages.instance)).to_have_count(0)


def connect_by_token_until_revoked(page: Page, pages: InstancePages, secret: str) -> None:
    """Connect the example page with a token; it receives every event until the owner revokes the token."""
    with another_browser(page) as (visitor, _):
        addresses: list[str] = []
        visitor.on("websocket", lambda socket: addresses.append(socket.url))
        visitor.on("request", lambda request: addresses.append(request.url))
        visitor.goto(f"{pages.url}/docs/websocket_client_example.html?instance={pages.instance}")
        log, connection = visitor.locator("#log"), visitor.locator("#connection")
        visitor.get_by_role("button", name="Connect", exact=True).click()
        expect(log.locator("[data-name=connect_error]")).to_have_count(1)
        expect(connection).to_have_text("Not connected")

        visitor.get_by_label("Token").fill(secret)
        visitor.get_by_role("button", name="Connect", exact=True).click()
        expect(connection).to_have_text("Connected")
        visitor.get_by_role("button", name="Subscribe", exact=True).click()
        expect(log.locator("[data-name=subscribed]")).to_have_count(1)
        task_id = pages.deployment.submit(pages.instance, "echo", {"message": HOSTILE}, title=HOSTILE)
        pages.deployment.wait_for_task(task_id, "COMPLETED")
        events = pages.deployment.events(pages.instance)
        rows = log.locator("[data-name=task_update], [data-name=execution_step]")
        expect(rows).to_have_count(len(events))
        assert [json.loads(text) for text in rows.locator("pre").all_text_contents()] == events

        page.locator("#tokens li").get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(page.locator("#tokens li")).to_have_count(0)
        expect(log.locator("[data-name=disconnect]")).to_have_count(1)
        expect(log.locator("[data-name=error]")).to_contain_text("revoked")
        expect(connection).to_have_text("Not connected")
        visitor.get_by_role("button", name="Connect", exact=True).click()
        expect(log.locator("[data-name=connect_error]")).to_have_count(2)

        assert [address for address in addresses if secret in address or "token" in address] == []
        assert len([address for address in addresses if address.startswith("ws:")]) >= 3
        assert visitor.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        assert secret not in visitor.content()
        assert nothing_ran(visitor)
        visitor.reload()
        expect(visitor.get_by_label("Token")).to_have_value("")


def test_a_token_for_one_task_and_some_fields_is_created(
    browser: tuple[Page, Complaints], authenticated_deployment: Deployment
) -> None:
    page, complaints = browser
    pages = open_settings(page, authenticated_deployment, "otto", Role.ADMIN)
    task_id = pages.deployment.submit(pages.instance, "echo", {"message": "x"})
    page.get_by_role("heading", name="Create token").click()
    form = page.locator("#create-token")
    expect(form.get_by_label("Submit tasks")).to_be_visible()
    form.get_by_label("One task").check()
    expect(form.get_by_label("Submit tasks")).to_be_hidden()
    form.get_by_label("Selected").check()
    form.get_by_label("Message").check()
    form.get_by_label("Cancel tasks").check()
    form.get_by_label("Name", exact=True).fill("one page")
    form.get_by_role("button", name="Create token").click()
    expect(form.locator("[data-field=task_id] > .field-error")).to_have_text("This field is required")
    form.get_by_label("Task id").fill(task_id)
    form.get_by_label("Lifetime").fill("1e9")
    with forgiving(complaints, "422"):
        form.get_by_role("button", name="Create token").click()
        expect(form.locator("[data-field=lifetime] > .field-error")).to_contain_text("seconds")
    expect(page.locator("#tokens li")).to_have_count(0)
    form.get_by_label("Lifetime").fill("3600")
    create_token(page, "one page")
    expect(page.locator("#tokens [data-slot=about]")).to_have_text(f"read, cancel · task {task_id} · fields message")
    page.reload()
    expect(page.locator("#tokens li")).to_contain_text("one page")


def test_an_admin_changes_the_policy_and_may_leave(
    browser: tuple[Page, Complaints], authenticated_deployment: Deployment
) -> None:
    page, complaints = browser
    pages = open_settings(page, authenticated_deployment, "adam", Role.ADMIN)
    make_member(authenticated_deployment, "olive", Role.OWNER, pages.instance)
    page.reload()
    for name in ("Download", "Delete instance"):
        expect(page.get_by_text(name)).to_have_count(0)
    expect(page.locator("#members li[data-member=olive] .schedule-actions")).to_be_hidden()

    form = page.locator("#policy")
    form.get_by_label("Keep events for").fill("30")
    form.get_by_label("Hidden fields").fill("iban\n\n  -  \n")
    with forgiving(complaints, "422"):
        form.get_by_role("button", name="Save").click()
        expect(form.locator("[data-field=secret_fields] > .field-error")).to_contain_text("letter")
    page.reload()
    expect(form.get_by_label("Keep events for")).to_have_value("")
    form.get_by_label("Keep events for").fill("30")
    form.get_by_label("Hidden fields").fill(f"iban\n\n  {HOSTILE}  \n")
    form.get_by_label("E-mail addresses").select_option("Hidden")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_text("Saved")).to_be_visible()
    page.reload()
    expect(form.get_by_label("Keep events for")).to_have_value("30")
    expect(form.get_by_label("Keep finished tasks for")).to_have_value("")
    expect(form.get_by_label("Hidden fields")).to_have_value(f"iban\n{HOSTILE}")
    expect(form.get_by_label("E-mail addresses")).to_have_value("true")
    assert nothing_ran(page)

    page.locator("#members li[data-member=adam]").get_by_role("button", name="Leave").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Instances")).to_be_visible()
    expect(page.get_by_text("No instances yet")).to_be_visible()


def test_an_owner_exports_the_instance(page: Page, authenticated_deployment: Deployment, tmp_path: Path) -> None:
    pages = open_settings(page, authenticated_deployment, "odin")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Download").click()
    assert begun.value.suggested_filename == f"{pages.instance}.jsonl"
    begun.value.save_as(tmp_path / "copy.jsonl")
    lines = (tmp_path / "copy.jsonl").read_text().splitlines()
    assert (json.loads(lines[0])["kind"], json.loads(lines[-1])["kind"]) == ("export", "manifest")
