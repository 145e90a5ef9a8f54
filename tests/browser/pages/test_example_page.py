"""The example page: connect, subscribe, unsubscribe, and every event in its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, WebSocket, expect

from tests.browser.page_actions import InstancePages
from tests.harness.program import ROOT

EXAMPLE = ROOT / "docs" / "websocket_client_example.html"


def logged(pages: InstancePages) -> list[tuple[str, Any]]:
    """Return the rows of the log: event names and payloads."""
    rows = "rows => rows.map((row) => [row.dataset.name, row.querySelector('pre').textContent])"
    result = pages.page.locator("#log > li").evaluate_all(rows)
    return [(name, json.loads(payload) if payload else None) for name, payload in result]


def press(pages: InstancePages, button: str) -> None:
    pages.page.get_by_role("button", name=button, exact=True).click()


def connect_and_subscribe(pages: InstancePages) -> None:
    press(pages, "Connect")
    expect(pages.page.locator("#connection")).to_have_text("Connected")
    pages.page.get_by_label("Instance", exact=True).fill(pages.instance)
    press(pages, "Subscribe")
    expect(pages.page.locator("#log [data-name=subscribed]")).to_have_count(1)


def test_the_example_page_logs_every_event(pages: InstancePages) -> None:
    pages.page.goto(f"{pages.url}/docs/websocket_client_example.html")
    connect_and_subscribe(pages)
    pages.deployment.wait_for_task(pages.deployment.submit(pages.instance, "probe", {"steps": 2}), "COMPLETED")
    events = pages.deployment.events(pages.instance)
    expect(pages.page.locator("#log [data-name=task_update], #log [data-name=execution_step]")).to_have_count(
        len(events)
    )
    assert [payload for name, payload in logged(pages) if name in ("task_update", "execution_step")] == events

    press(pages, "Unsubscribe")
    expect(pages.page.locator("#log [data-name=unsubscribed]")).to_have_count(1)
    before = len(logged(pages))
    pages.deployment.wait_for_task(pages.deployment.submit(pages.instance, "echo", {"message": "unseen"}), "COMPLETED")
    press(pages, "Subscribe")
    expect(pages.page.locator("#log [data-name=subscribed]")).to_have_count(2)
    after = [name for name, _ in logged(pages)[before:]]
    assert sorted(after) == ["subscribe_instance", "subscribe_instance ack", "subscribed"]
    press(pages, "Disconnect")
    expect(pages.page.locator("#connection")).to_have_text("Not connected")
    press(pages, "Clear")
    expect(pages.page.locator("#log > li")).to_have_count(0)


def test_the_page_connects_with_and_without_a_token_and_puts_none_into_a_url(pages: InstancePages) -> None:
    addresses: list[str] = []
    sent: list[str | bytes] = []

    def listen(socket: WebSocket) -> None:
        addresses.append(socket.url)
        socket.on("framesent", lambda frame: sent.append(frame))

    pages.page.on("websocket", listen)
    pages.page.goto(f"{pages.url}/docs/websocket_client_example.html")
    for token in ("", "  ", "never anybody's"):
        pages.page.get_by_label("Token").fill(token)
        press(pages, "Connect")
        expect(pages.page.locator("#connection")).to_have_text("Connected")
        press(pages, "Disconnect")
        expect(pages.page.locator("#connection")).to_have_text("Not connected")
    connects = [frame for frame in sent if isinstance(frame, str) and frame.startswith("40")]
    assert connects == ["40", "40", '40{"token":"never anybody\'s"}']
    assert {address.partition("/socket.io/")[2] for address in addresses} == {"?EIO=4&transport=websocket"}


def test_an_error_is_logged(pages: InstancePages) -> None:
    pages.page.goto(f"{pages.url}/docs/websocket_client_example.html?instance=nowhere")
    press(pages, "Connect")
    press(pages, "Subscribe")
    expect(pages.page.locator("#log [data-name=error]")).to_contain_text("not_found")


def test_the_pages_lead_to_it(pages: InstancePages) -> None:
    pages.page.goto(pages.url)
    pages.page.get_by_role("link", name="Client example").click()
    expect(pages.page.get_by_role("heading", name="Client example")).to_be_visible()


def test_a_page_opened_as_a_file_names_the_address_that_serves_it(page: Page) -> None:
    page.goto(EXAMPLE.as_uri())
    served = "http://localhost:8000/docs/websocket_client_example.html"
    expect(page.locator("#connection .label")).to_have_text(f"Served at {served}")
    expect(page.locator("#from-file")).to_contain_text(served)
    expect(page.locator("#from-file")).to_contain_text("SWALLOWTAIL_CORS_ORIGINS=null")


def test_a_served_page_has_no_note_about_files(pages: InstancePages) -> None:
    pages.page.goto(f"{pages.url}/docs/websocket_client_example.html")
    expect(pages.page.locator("#connection .label")).to_have_text("Not connected")
    expect(pages.page.locator("#from-file")).to_be_hidden()


def test_it_works_as_a_file_too(pages: InstancePages, tmp_path: Path) -> None:
    # The origin of a file is "null", which a server must accept explicitly.
    web = pages.deployment.start_web(env={"cors_origins": "null"})
    try:
        pages.page.goto(EXAMPLE.as_uri())
        expect(pages.page.get_by_label("Server")).to_have_value("http://localhost:8000")
        pages.page.get_by_label("Server").fill(web.url)
        connect_and_subscribe(pages)
    finally:
        web.kill()
        pages.deployment.webs.remove(web)
