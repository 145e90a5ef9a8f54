"""The client of a request is the one that trusted proxies report; other clients cannot forge it."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.web.http.trusted_proxies import TrustedProxies


def apply(trusted: str, peer: str, forwarded: str | None, **more: str) -> tuple[str, str]:
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "a.example"}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    environ |= {f"HTTP_{name}": value for name, value in more.items()}
    TrustedProxies(trusted).apply(environ)
    assert not [name for name in environ if "FORWARDED" in name], "no later code can read them"
    assert environ["HTTP_HOST"] == "a.example"
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


FORGED = {
    "X_FORWARDED_PROTO": "https",
    "X_FORWARDED_HOST": "evil.example",
    "X_FORWARDED_PORT": "1",
    "FORWARDED": "for=x",
}


def test_no_proxy_is_trusted_by_default() -> None:
    assert apply("", "127.0.0.1", "203.0.113.5", **FORGED) == ("127.0.0.1", "http")


def test_only_listed_proxies_are_trusted() -> None:
    trusted = "127.0.0.1, 10.0.0.0/8, ::1"
    assert apply(trusted, "127.0.0.1", "203.0.113.5", **FORGED) == ("203.0.113.5", "https")
    assert apply(trusted, "::1", "203.0.113.5", **FORGED) == ("203.0.113.5", "https")
    assert apply(trusted, "203.0.113.9", "203.0.113.5", **FORGED) == ("203.0.113.9", "http")


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
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxy(chain: str | None, address: str) -> None:
    assert apply("10.0.0.0/8", "10.0.0.1", chain)[0] == address


def test_a_number_of_proxies_is_trusted_with_any_address() -> None:
    assert apply("1", "192.0.2.9", "198.51.100.1, 203.0.113.5")[0] == "203.0.113.5"
    assert apply("2", "192.0.2.9", "198.51.100.1, 203.0.113.5")[0] == "198.51.100.1"
    assert apply("3", "192.0.2.9", "198.51.100.1, 203.0.113.5")[0] == "192.0.2.9"
    assert apply("0", "192.0.2.9", "198.51.100.1", **FORGED) == ("192.0.2.9", "http")


@pytest.mark.parametrize(
    ("reported", "scheme"),
    [("https", "https"), ("wss", "https"), ("HTTPS", "https"), ("ws", "http"), ("gopher", "http")],
)
def test_only_known_schemes_count(reported: str, scheme: str) -> None:
    assert apply("10.0.0.1", "10.0.0.1", None, X_FORWARDED_PROTO=reported)[1] == scheme
