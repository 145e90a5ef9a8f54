"""The pages under a path prefix behind a real nginx: all links and requests stay below the prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Page, expect

from swallowtail.app.core.security.roles import Role
from tests.browser.signed_in_users import follow_an_echo, make_member, note_requests
from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK
from tests.identity.bench import CHEAP, PASSWORD
from tests.journey.delivery.test_nginx import Nginx

#: Headers of every nginx location; a location that adds a header inherits none.
HEADERS = """
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
"""
#: `/tool` is set by the setting and stripped by the proxy; the others are set by a header, one stripped and one kept.
CONFIGURATION = """
events {}
http {
    server {
        listen 8000;
        proxy_http_version 1.1;
        HEADERS
        location /tool/ { proxy_pass http://127.0.0.1:8001/; }
        location /header/ {
            proxy_pass http://127.0.0.1:8001/;
            HEADERS
            proxy_set_header X-Forwarded-Prefix /header;
        }
        location /a/prefix/ {
            proxy_pass http://127.0.0.1:8001;
            HEADERS
            proxy_set_header X-Forwarded-Prefix /a/prefix;
        }
        location / { return 418; }
    }
}
""".replace("HEADERS", HEADERS)


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Deployment, Nginx, str]]:
    env = {**BRISK, **CHEAP, "auth": "required", "url_prefix": "/tool", "trusted_proxies": "127.0.0.1"}
    with Deployment(env=env) as deployment:
        deployment.start_worker(wait=False)
        deployment.start_web()
        deployment.workers[0].wait_ready()
        instance = deployment.new_instance()
        make_member(deployment, "ada", Role.OWNER, instance)
        nginx = Nginx(deployment, lambda _: CONFIGURATION)
        nginx.start()
        try:
            yield deployment, nginx, instance
        finally:
            nginx.terminate()


@pytest.mark.parametrize("path", ["/tool", "/header", "/a/prefix"])
def test_every_page_link_form_and_redirect_stays_below_the_path(
    page: Page, behind: tuple[Deployment, Nginx, str], path: str
) -> None:
    _, nginx, instance = behind
    home, asked, answered = f"{nginx.url}{path}", list[str](), list[tuple[int, str]]()
    note_requests(page, asked)
    page.on("response", lambda response: answered.append((response.status, response.url)))
    follow_an_echo(page, "ada", home, instance)
    _connect_example(page, home, instance)
    if path == "/tool":
        assert len(_follow_all(page, home)) > 8
    page.goto(f"{home}/account")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert [url for url in asked if not url.startswith(f"{home}/")] == []
    assert [result for result in answered if result[0] >= 400] == []
    assert any(f"{path}/socket.io/" in url for url in asked)


def _connect_example(page: Page, home: str, instance: str) -> None:
    page.goto(f"{home}/docs/websocket_client_example.html")
    expect(page.locator("#url")).to_have_value(home)
    response = httpx2.post(f"{home}/api/v1/auth/login", json={"name": "ada", "password": PASSWORD})
    page.get_by_label("Token").fill(response.json()["access_token"])
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.locator("#connection")).to_have_text("Connected")
    page.get_by_label("Instance", exact=True).fill(instance)
    page.get_by_role("button", name="Subscribe", exact=True).click()
    expect(page.locator("#log [data-name=subscribed]")).to_have_count(1)


def _follow_all(page: Page, home: str) -> set[str]:
    """Open every linked page once, with one task of each kind."""
    waiting, seen = [f"{home}/"], set[str]()
    while waiting:
        url = waiting.pop()
        kind = re.sub(r"[0-9a-f-]{36}", "ID", url)
        if kind in seen:
            continue
        seen.add(kind)
        page.goto(url)
        expect(page.locator("h1").first).to_be_visible()
        links = page.locator("a[href], form[action]").evaluate_all("all => all.map((one) => one.href ?? one.action)")
        assert [link for link in links if link.startswith("http") and not link.startswith(f"{home}/")] == [], url
        pages = [link.partition("#")[0] for link in links if "/api/v1/" not in link and "/session" not in link]
        waiting += [link for link in pages if link.startswith(home) and not link.endswith((".json", "/logout"))]
    return seen


def test_the_redirect_to_sign_in_stays_below_the_path(page: Page, behind: tuple[Deployment, Nginx, str]) -> None:
    _, nginx, instance = behind
    response = page.request.get(f"{nginx.url}/tool/instances/{instance}", headers={"Accept": "text/html"})
    assert response.url.startswith(f"{nginx.url}/tool/login")
