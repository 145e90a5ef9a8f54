"""Only loopback names, our addresses and listed names are accepted in `Host`."""

from __future__ import annotations

from pathlib import Path

import pytest

from swallowtail.app.web.http.allowed_hosts import AllowedHosts
from tests.harness.settings import make_settings
from tests.web.app_fixture import WebApp, expect_problem


def make_hosts(allowed: str = "", host: str = "127.0.0.1") -> AllowedHosts:
    return AllowedHosts(make_settings(host=host, allowed_hosts=allowed))


LOOPBACK = ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:8000", "127.8.9.1", "[::1]", "[::1]:8000"]
NEVER = [
    "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8000", "", None, " ", "a b",
    "user@localhost", "localhost:80:80", "localhost:x", "localhost:99999", "[::1", "::1", "[::1]x", "localhost/", "*",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_the_names_of_loopback_are_ours(host: str) -> None:
    assert make_hosts().allows(host)
    assert make_hosts("app.example.org").allows(host)


@pytest.mark.parametrize("host", [*NEVER, "192.0.2.7", "0.0.0.0", "[2001:db8::1]:8000"])  # noqa: S104
def test_no_other_name_is_ours_on_loopback(host: str | None) -> None:
    assert not make_hosts().allows(host)


@pytest.mark.parametrize("host", ["192.0.2.7", "192.0.2.7:8000", "[2001:db8::1]:8000"])
def test_numeric_addresses_are_ours_on_a_reachable_server(host: str) -> None:
    assert make_hosts(host="0.0.0.0").allows(host)  # noqa: S104


@pytest.mark.parametrize("host", NEVER)
def test_only_listed_host_names_are_accepted(host: str | None) -> None:
    assert not make_hosts(host="0.0.0.0").allows(host)  # noqa: S104
    assert not make_hosts("app.example.org, .example.net, [2001:db8::1]").allows(host)


def test_listed_names_are_ours_and_a_dot_stands_for_all_below() -> None:
    hosts = make_hosts("App.example.org, .example.net,[2001:db8::1],192.0.2.7")
    for host in ("app.example.org", "APP.EXAMPLE.ORG:443", "example.net", "a.b.example.net", "[2001:db8::1]:1"):
        assert hosts.allows(host), host
    assert hosts.allows("192.0.2.7:80")
    for host in ("example.org", "b.example.org", "xexample.net", "192.0.2.8"):
        assert not hosts.allows(host), host


def test_a_star_allows_every_valid_name() -> None:
    hosts = make_hosts("*")
    assert hosts.allows("evil.example:8000")
    assert not hosts.allows("a b")
    assert not hosts.allows(None)


@pytest.mark.parametrize("path", ["/", "/api/v1/instances", "/healthz", "/static/api_docs.css", "/socket.io/?EIO=4"])
def test_a_request_for_another_name_gets_421_only(web_app: WebApp, path: str) -> None:
    answer = web_app.fetch(path, headers={"Host": "evil.example"})
    problem = expect_problem(answer, 421, "unknown_host")
    assert problem["detail"] == "this server is not called evil.example"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_listed_name_is_served(tmp_path: Path) -> None:
    web_app = WebApp(make_settings(var_dir=tmp_path, async_mode="threading", allowed_hosts="app.example.org"))
    assert web_app.fetch("/healthz", headers={"Host": "app.example.org"}).status_code == 200
    web_app.close()
