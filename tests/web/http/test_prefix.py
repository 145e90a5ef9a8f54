"""The web process works under a URL prefix, from its setting or a trusted proxy, removed by the proxy or not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from swallowtail.app.web.http.request_guard import RequestGuard
from swallowtail.app.web.websocket.handshake import read_upgrade
from tests.harness.program import ROOT
from tests.harness.settings import make_settings
from tests.web.app_fixture import WebApp
from tests.web.websocket.test_handshake import ADDRESS, LINES

PAGES = ["/", "/instances/acme", "/instances/acme/new", "/instances/acme/schedules", "/agents", "/api/docs"]


def placed(path: str, prefix: str = "", trusted: str = "127.0.0.1", **headers: str) -> tuple[str, str]:
    """Return the script name and the path of a request."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": "", "wsgi.url_scheme": "http",
        "REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.5",
        **{f"HTTP_{name}": value for name, value in headers.items()},
    }  # fmt: skip
    RequestGuard(make_settings(url_prefix=prefix, trusted_proxies=trusted)).apply_proxies(environ)
    return environ["SCRIPT_NAME"], environ["PATH_INFO"]


@pytest.mark.parametrize(
    ("path", "prefix", "headers", "expected"),
    [
        ("/tasks", "", {}, ("", "/tasks")),
        ("/tasks", "/team/live", {}, ("/team/live", "/tasks")),
        ("/team/live/tasks", "/team/live", {}, ("/team/live", "/tasks")),
        ("/team/live", "/team/live", {}, ("/team/live", "/")),
        ("/team/lively", "/team/live", {}, ("/team/live", "/team/lively")),
        ("/tasks", "", {"X_FORWARDED_PREFIX": "/team/"}, ("/team", "/tasks")),
        ("/team/tasks", "/other", {"X_FORWARDED_PREFIX": "/team"}, ("/team", "/tasks")),
        ("/tasks", "", {"X_FORWARDED_PREFIX": "//evil.example"}, ("", "/tasks")),
        ("/tasks", "", {"X_FORWARDED_PREFIX": '/a"><script>'}, ("", "/tasks")),
        ("/tasks", "", {"X_FORWARDED_PREFIX": "/a/../b"}, ("", "/tasks")),
    ],
)
def test_a_request_is_placed_under_the_path(
    path: str, prefix: str, headers: dict[str, str], expected: tuple[str, str]
) -> None:
    assert placed(path, prefix, **headers) == expected


def test_only_a_trusted_proxy_sets_the_prefix() -> None:
    assert placed("/tasks", trusted="10.0.0.1", X_FORWARDED_PREFIX="/team") == ("", "/tasks")


@pytest.mark.parametrize("path", PAGES)
def test_every_url_on_a_page_has_the_prefix(web_app: WebApp, path: str) -> None:
    answer = web_app.app.test_client().get(path, environ_overrides={"SCRIPT_NAME": "/team"})
    assert answer.status_code == 200
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', answer.text)
    assert len(addresses) > 5
    assert [address for address in addresses if not address.startswith(("/team/", "#", "?"))] == []
    assert '<meta name="base" content="/team">' in answer.text


def test_no_script_of_the_pages_has_an_absolute_url() -> None:
    own = re.compile(r"""["'`]/(?:api/v1|static|clients|session|login|socket\.io)\b|assign\(["'`]/|from ["']/""")
    scripts = sorted((ROOT / "app/web/static/js").rglob("*.js"))
    urls = [(path.name, line) for path in scripts for line in path.read_text().splitlines() if own.search(line)]
    assert [line for _, line in urls if not line.strip().startswith("*")] == []


def test_the_location_of_a_new_object_has_the_prefix(web_app: WebApp) -> None:
    answer = web_app.app.test_client().post(
        "/api/v1/instances", json={"id": "new", "name": "New"}, environ_overrides={"SCRIPT_NAME": "/team"}
    )
    assert (answer.status_code, answer.headers["Location"]) == (201, "/team/api/v1/instances/new")


def test_the_acceptor_takes_a_websocket_under_the_prefix() -> None:
    text = "\r\n".join(LINES).replace("/socket.io/", "/team/socket.io/").encode() + b"\r\n\r\n"
    upgrade = read_upgrade(text + b"more", ADDRESS, "/team")
    assert upgrade is not None
    assert (upgrade.environ["PATH_INFO"], upgrade.size) == ("/socket.io/", len(text))
    assert read_upgrade(text, ADDRESS) is None
    plain = text.replace(b"/team", b"")
    assert read_upgrade(plain, ADDRESS, "/team") is not None


@pytest.mark.parametrize("prefix", ["team", "/team/", "//team", "/a b", "/../a", "/a?b"])
def test_an_invalid_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="url_prefix"):
        make_settings(url_prefix=prefix)
