"""Secret fields of an agent's schema are masked on the page and submitted unchanged."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.browser.page_actions import InstancePages
from tests.harness.deployment import Deployment

#: Label and entered value.
TYPED = {
    "Phrase": "open sesame",
    "Marked": "gone in a flash",
    "Written": "w" * 400,
    "Number": "42",
    "Many": '["first one", "second"]',
    "Code": "0000-1111",
    "Vaults": '[{"code": "third one"}]',
}


def test_secret_fields_hide_their_text_and_send_it(deployment_with_test_agents: Deployment, page: Page) -> None:
    pages = InstancePages(page, deployment_with_test_agents, deployment_with_test_agents.webs[0].url)
    pages.open_form("keeper")
    page.get_by_label("Note").fill("no secret")
    page.get_by_text("Vault", exact=True).click()
    for label, text in TYPED.items():
        field = page.get_by_label(label, exact=False).first if label == "Vaults" else page.get_by_label(label).first
        expect(field).to_have_attribute("type", "password")
        expect(field).to_have_attribute("autocomplete", "off")
        field.fill(text)
    for label in ("Spare", "Usual"):
        field = page.get_by_label(label)
        expect(field).to_have_attribute("type", "password")
        expect(field).to_have_value("")
    expect(page.get_by_label("Note")).to_have_attribute("type", "text")
    expect(page.get_by_label("Label")).to_have_attribute("type", "text")
    pages.send()
    task = pages.deployment.wait_for_task(pages.task_opened(), "COMPLETED")
    assert task["result"] == {
        "lengths": [11, len("by default"), 9, 6, 9],
        "others": [True, 15, 400, True],
        "vaults": [9],
    }
    body = json.dumps([task, pages.deployment.events(pages.instance)])
    assert [
        text for text in ("open sesame", "gone in a flash", "second", "0000-1111", "third one") if text in body
    ] == []
    assert "no secret" in body
