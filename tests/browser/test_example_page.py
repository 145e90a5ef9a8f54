"""The example page: connect, subscribe, unsubscribe, and every event in its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, WebSocket, expect

from tests.browser.page_actions import Sights
from tests.harness.program import ROOT

EXAMPLE = ROOT / "docs" / "websocket_client_example.html"


def logged(sights: Sights) -> list[tuple[str, Any]]:
    """The log's rows: the event's name and its payload."""
    rows = "rows => rows.map((row) => [row.dataset.name, row.querySelector('pre').textContent])"
    result = sights.page.locator("#log > li").evaluate_all(rows)
    return [(name, json.loads(payload) if payload else None) for name, payload in result]


def press(sights: Sights, button: str) -> None:
    sights.page.get_by_role("button", name=button, exact=True).click()


def connect_and_subscribe(sights: Sights) -> None:
    press(sights, "Connect")
    expect(sights.page.locator("#connection")).to_have_text("Connected")
    sights.page.get_by_label("Instance", exact=True).fill(sights.instance)
    press(sights, "Subscribe")
    expect(sights.page.locator("#log [data-name=subscribed]")).to_have_count(1)


def test_the_example_page_logs_every_event(sights: Sights) -> None:
    sights.page.goto(f"{sights.url}/docs/websocket_client_example.html")
    connect_and_subscribe(sights)
    sights.deployment.wait_for_task(sights.deployment.submit(sights.instance, "probe", {"steps": 2}), "COMPLETED")
    events = sights.deployment.events(sights.instance)
    expect(sights.page.locator("#log [data-name=task_update], #log [data-name=execution_step]")).to_have_count(
        len(events)
    )
    assert [payload for name, payload in logged(sights) if name in ("task_update", "execution_step")] == events

    press(sights, "Unsubscribe")
    expect(sights.page.locator("#log [data-name=unsubscribed]")).to_have_count(1)
    before = len(logged(sights))
    sights.deployment.wait_for_task(
        sights.deployment.submit(sights.instance, "echo", {"message": "unseen"}), "COMPLETED"
    )
    press(sights, "Subscribe")
    expect(sights.page.locator("#log [data-name=subscribed]")).to_have_count(2)
    after = [name for name, _ in logged(sights)[before:]]
    assert sorted(after) == ["subscribe_instance", "subscribe_instance ack", "subscribed"]
    press(sights, "Disconnect")
    expect(sights.page.locator("#connection")).to_have_text("Not connected")
    press(sights, "Clear")
    expect(sights.page.locator("#log > li")).to_have_count(0)


def test_without_a_token_it_connects_as_it_always_did_and_with_one_shows_it_in_no_address(sights: Sights) -> None:
    addresses: list[str] = []
    sent: list[str | bytes] = []

    def listen(socket: WebSocket) -> None:
        addresses.append(socket.url)
        socket.on("framesent", lambda frame: sent.append(frame))

    sights.page.on("websocket", listen)
    sights.page.goto(f"{sights.url}/docs/websocket_client_example.html")
    for token in ("", "  ", "never anybody's"):
        sights.page.get_by_label("Token").fill(token)
        press(sights, "Connect")
        expect(sights.page.locator("#connection")).to_have_text("Connected")
        press(sights, "Disconnect")
        expect(sights.page.locator("#connection")).to_have_text("Not connected")
    connects = [frame for frame in sent if isinstance(frame, str) and frame.startswith("40")]
    assert connects == ["40", "40", '40{"token":"never anybody\'s"}']
    assert {address.partition("/socket.io/")[2] for address in addresses} == {"?EIO=4&transport=websocket"}


def test_an_error_is_logged(sights: Sights) -> None:
    sights.page.goto(f"{sights.url}/docs/websocket_client_example.html?instance=nowhere")
    press(sights, "Connect")
    press(sights, "Subscribe")
    expect(sights.page.locator("#log [data-name=error]")).to_contain_text("not_found")


def test_the_pages_lead_to_it(sights: Sights) -> None:
    sights.page.goto(sights.url)
    sights.page.get_by_role("link", name="Event log").click()
    expect(sights.page.get_by_role("heading", name="Event log")).to_be_visible()


def test_as_a_file_it_says_where_it_is_served(page: Page) -> None:
    page.goto(EXAMPLE.as_uri())
    served = "http://localhost:8000/docs/websocket_client_example.html"
    expect(page.locator("#connection .label")).to_have_text(f"Served at {served}")
    expect(page.locator("#from-file")).to_contain_text(served)
    expect(page.locator("#from-file")).to_contain_text("SWALLOWTAIL_CORS_ORIGINS=null")


def test_where_it_is_served_it_says_nothing_of_files(sights: Sights) -> None:
    sights.page.goto(f"{sights.url}/docs/websocket_client_example.html")
    expect(sights.page.locator("#connection .label")).to_have_text("Not connected")
    expect(sights.page.locator("#from-file")).to_be_hidden()


def test_it_works_as_a_file_too(sights: Sights, tmp_path: Path) -> None:
    # The origin of a file is "null", which a server has to be told to accept.
    web = sights.deployment.start_web(env={"cors_origins": "null"})
    try:
        sights.page.goto(EXAMPLE.as_uri())
        expect(sights.page.get_by_label("Server")).to_have_value("http://localhost:8000")
        sights.page.get_by_label("Server").fill(web.url)
        connect_and_subscribe(sights)
    finally:
        web.kill()
        sights.deployment.webs.remove(web)
