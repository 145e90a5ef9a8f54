"""The rendered pages: consistent state, no executable text of others, and clear errors."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.web.app_fixture import WebApp, expect_json

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Parses a page: its tags, its URLs and its state."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.state: Any = None
        self._in_state = False
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_state = tag == "script" and dict(attrs).get("id") == "state"

    def handle_endtag(self, tag: str) -> None:
        self._in_state = self._in_state and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_state:
            self.state = json.loads(data)

    def addresses(self) -> list[str]:
        """Return all URLs that the page loads or links to."""
        result = [attributes.get(name) for _, attributes in self.tags for name in ("src", "href")]
        return [address for address in result if address is not None]


def show(web_app: WebApp, path: str, status: int = 200) -> Page:
    response = web_app.fetch(path)
    assert response.status_code == status, response.text
    assert response.mimetype == "text/html"
    return Page(response.text)


def every_path(web_app: WebApp) -> list[str]:
    task_id = web_app.submit()["task"]["id"]
    acme = "/instances/acme"
    return ["/", acme, f"{acme}/new", f"{acme}/schedules", f"{acme}/settings", f"/tasks/{task_id}", "/agents"]


def test_the_list_of_instances_links_to_each(web_app: WebApp) -> None:
    web_app.create_instance("beta")
    addresses = show(web_app, "/").addresses()
    assert "/instances/acme" in addresses
    assert "/instances/beta" in addresses


def test_instances_come_in_pages(web_app: WebApp) -> None:
    for number in range(7):
        web_app.create_instance(f"more{number}")
    first = show(web_app, "/")
    (following,) = [address for address in first.addresses() if address.startswith("/?cursor=")]
    second = show(web_app, following)
    assert [path in first.addresses() for path in ("/instances/acme", "/instances/more6")] == [True, False]
    assert [path in second.addresses() for path in ("/instances/acme", "/instances/more6")] == [False, True]


def test_the_task_list_holds_one_moment(web_app: WebApp) -> None:
    task = web_app.submit()["task"]
    state = show(web_app, "/instances/acme").state
    assert [item["id"] for item in state["tasks"]] == [task["id"]]
    assert state["since"] == {"epoch": expect_json(web_app.get("/instances/acme"))["epoch"], "seq": task["last_seq"]}
    assert state["next_cursor"] is None


def test_the_task_list_can_be_filtered(web_app: WebApp) -> None:
    web_app.submit()
    done = web_app.submit()["task"]["id"]
    web_app.perform(done)
    assert [item["id"] for item in show(web_app, "/instances/acme?status=COMPLETED").state["tasks"]] == [done]
    assert show(web_app, "/instances/acme?kind=other&status=").state["tasks"] == []


def test_a_task_is_shown_with_its_steps(web_app: WebApp) -> None:
    task_id = web_app.submit(title="Autumn")["task"]["id"]
    web_app.perform(task_id, steps=("plan", "write"))
    page = show(web_app, f"/tasks/{task_id}")
    task = page.state["task"]
    assert (task["title"], task["status"], task["result"]) == ("Autumn", "COMPLETED", {"done": True})
    assert [(step["key"], step["status"]) for step in task["steps"]] == [("plan", "completed"), ("write", "completed")]
    assert page.state["since"]["seq"] == task["last_seq"]
    assert "<title>Autumn" in page.text


def test_the_form_gets_the_agents_schema(web_app: WebApp) -> None:
    state = show(web_app, "/instances/acme/new?kind=brief").state
    assert state["kind"] == "brief"
    assert state["agents"][0]["input_schema"]["required"] == ["text"]


def test_an_unknown_kind_in_the_address_chooses_a_known_one(web_app: WebApp) -> None:
    assert show(web_app, "/instances/acme/new?kind=nothing").state["kind"] == "brief"


def test_schedules_are_shown(web_app: WebApp) -> None:
    body = {"name": "Daily", "kind": "brief", "input": {"text": "Hello"}, "cron": "0 9 * * *"}
    expect_json(web_app.post("/instances/acme/schedules", body), 201)
    assert [item["name"] for item in show(web_app, "/instances/acme/schedules").state["schedules"]["items"]] == [
        "Daily"
    ]


def test_agents_are_shown_with_their_input(web_app: WebApp) -> None:
    text = show(web_app, "/agents").text
    assert "Takes a brief" in text
    assert "&#34;minLength&#34;: 1" in text


@pytest.mark.parametrize(
    "path",
    [
        "/instances/nope",
        "/instances/nope/new",
        "/instances/nope/schedules",
        "/instances/nope/settings",
        "/instances/no%20pe",
        "/instances/" + "x" * 200,
        "/instances/%00",
        "/instances/acme?status=HAPPY",
        "/?cursor=rubbish",
        "/tasks/00000000-0000-4000-8000-000000000000",
        "/tasks/rubbish",
        "/tasks/%3Cscript%3E",
    ],
)
def test_a_missing_object_has_an_error_page(path: str, web_app: WebApp) -> None:
    page = show(web_app, path, 404)
    assert "Page not found" in page.text
    assert "Traceback" not in page.text


def test_foreign_text_is_escaped(web_app: WebApp) -> None:
    expect_json(web_app.post("/instances", {"name": EVIL, "id": "evil"}), 201)
    task = web_app.submit("evil", title=EVIL, input={"text": EVIL})["task"]
    for path in ("/", "/instances/evil", "/instances/evil/new", "/instances/evil/schedules", f"/tasks/{task['id']}"):
        page = show(web_app, path)
        assert "<script>alert" not in page.text
        assert not [tag for tag, attributes in page.tags if "onerror" in attributes]
    assert show(web_app, f"/tasks/{task['id']}").state["task"]["input"]["text"] == EVIL


def test_no_page_needs_anything_inline_or_from_elsewhere(web_app: WebApp) -> None:
    for path in [*every_path(web_app), "/docs/websocket_client_example.html"]:
        page = show(web_app, path)
        for tag, attributes in page.tags:
            assert tag != "style", path
            assert not [name for name in attributes if name == "style" or name.startswith("on")], path
            if tag == "script":
                assert "src" in attributes or attributes.get("type") == "application/json", path
        places = [urljoin(path, address) for address in page.addresses()]
        assert all(place.startswith("/") and not place.startswith("//") for place in places), path


def test_every_file_that_a_page_loads_is_there(web_app: WebApp) -> None:
    expected: set[str] = set()
    for path in [*every_path(web_app), "/docs/websocket_client_example.html"]:
        expected |= {address for address in show(web_app, path).addresses() if address.startswith("/static/")}
    imports = re.compile(r'^(?:import|\}).* from "([^"]+)"', re.MULTILINE)
    checked: set[str] = set()
    while expected - checked:
        address = (expected - checked).pop()
        checked.add(address)
        if "/vendor/" in address:
            continue  # fetched by scripts/up, and not a matter of this process
        response = web_app.fetch(address)
        assert response.status_code == 200, address
        if ".js" in address:
            expected |= {urljoin(address, result) for result in imports.findall(response.text)}
    assert "/clients/javascript/log_position.js" in checked


def test_the_client_classes_are_served_as_scripts(web_app: WebApp) -> None:
    response = web_app.fetch("/clients/javascript/task_websocket_client.js")
    assert (response.status_code, response.mimetype) == (200, "text/javascript")


@pytest.mark.parametrize(
    "path",
    ["/clients/javascript/package.json", "/clients/javascript/../python/handlers.py", "/clients/javascript/no.js"],
)
def test_nothing_else_of_the_repository_is_served(path: str, web_app: WebApp) -> None:
    assert web_app.fetch(path).status_code == 404
