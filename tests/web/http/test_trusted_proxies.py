"""Where a request comes from: what trusted proxies tell of it, and nothing that anybody could write."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.web.http.trusted_proxies import TrustedProxies


def settle(trusted: str, peer: str, forwarded: str | None, **more: str) -> tuple[str, str]:
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "a.example"}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    environ |= {f"HTTP_{name}": value for name, value in more.items()}
    TrustedProxies(trusted).apply(environ)
    assert not [name for name in environ if "FORWARDED" in name], "nobody reads them again"
    assert environ["HTTP_HOST"] == "a.example"
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


TOLD = {"X_FORWARDED_PROTO": "https", "X_FORWARDED_HOST": "evil.example", "X_FORWARDED_PORT": "1", "FORWARDED": "for=x"}


def test_nobody_is_believed_unless_it_is_set() -> None:
    assert settle("", "127.0.0.1", "203.0.113.5", **TOLD) == ("127.0.0.1", "http")


def test_only_the_proxies_that_are_named_are_believed() -> None:
    trusted = "127.0.0.1, 10.0.0.0/8, ::1"
    assert settle(trusted, "127.0.0.1", "203.0.113.5", **TOLD) == ("203.0.113.5", "https")
    assert settle(trusted, "::1", "203.0.113.5", **TOLD) == ("203.0.113.5", "https")
    assert settle(trusted, "203.0.113.9", "203.0.113.5", **TOLD) == ("203.0.113.9", "http")


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("192.0.2.1, 203.0.113.5", "203.0.113.5"),
        ("127.0.0.1, 203.0.113.5", "203.0.113.5"),
        ("203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("192.0.2.1, 203.0.113.5, 10.0.0.2, 10.9.9.9", "203.0.113.5"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("203.0.113.5:4711", "203.0.113.5"),
        ("[2001:db8::5]:4711", "2001:db8::5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("rubbish", "10.0.0.1"),
        ("", "10.0.0.1"),
        (None, "10.0.0.1"),
    ],
)
def test_the_caller_is_the_last_one_who_is_no_proxy_of_ours(chain: str | None, address: str) -> None:
    assert settle("10.0.0.0/8", "10.0.0.1", chain)[0] == address


def test_a_number_of_proxies_is_believed_whoever_they_are() -> None:
    assert settle("1", "192.0.2.9", "198.51.100.1, 203.0.113.5")[0] == "203.0.113.5"
    assert settle("2", "192.0.2.9", "198.51.100.1, 203.0.113.5")[0] == "198.51.100.1"
    assert settle("3", "192.0.2.9", "198.51.100.1, 203.0.113.5")[0] == "192.0.2.9"
    assert settle("0", "192.0.2.9", "198.51.100.1", **TOLD) == ("192.0.2.9", "http")


@pytest.mark.parametrize(
    ("told", "scheme"), [("https", "https"), ("wss", "https"), ("HTTPS", "https"), ("ws", "http"), ("gopher", "http")]
)
def test_only_schemes_that_there_are_count(told: str, scheme: str) -> None:
    assert settle("10.0.0.1", "10.0.0.1", None, X_FORWARDED_PROTO=told)[1] == scheme
