"""Access is open only without settings that make sense beyond this machine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.config.refused_settings import load_refused
from tests.harness.settings import make_settings


@pytest.mark.parametrize(
    ("variables", "is_open"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "192.0.2.7"}, False),
        ({"redis_url": "redis://127.0.0.1/0"}, False),
        ({"database_url": "postgresql://db/x"}, False),
        ({"broker_url": "amqp://rabbit//"}, False),
        ({"auth": "required"}, False),
        ({"auth": "open", "redis_url": "redis://127.0.0.1/0"}, True),
        ({"auth": "open", "allowed_hosts": "app.example.org", "jwt_issuer": "https://id.example.org"}, True),
        ({"port": 8001, "processes": 4, "var_dir": "elsewhere", "token": "swt_x", "access_check": 0.5}, True),
    ],
)
def test_only_the_embedded_default_on_loopback_is_open(variables: dict[str, Any], is_open: bool) -> None:
    assert make_settings(**variables).is_open is is_open


CLOSING: dict[str, Any] = {
    "trusted_proxies": "127.0.0.1",
    "allowed_hosts": "app.example.org",
    "cors_origins": "https://app.example.org",
    "hsts_seconds": 0,
    "secret_key": "k" * 32,
    "secret_key_previous": "k" * 32,
    "token_issuer": "ours",
    "token_audience": "ours",
    "password_min_length": 20,
    "session_idle_hours": 1,
    **dict.fromkeys(("jwt_issuer", "jwt_audience"), "https://id.example.org"),
    "jwks_url": "http://127.0.0.1:9/keys",
    "jwt_provision": True,
    "jwks_ttl": 1,
    "oidc_client_id": "swallowtail",
    "oidc_client_secret": "hush",
    "oidc_issuer": "http://127.0.0.1:9",
    "oidc_scopes": "openid",
    "oidc_provision": True,
}
NEEDED = {"jwks_url": {"jwt_issuer": "i", "jwt_audience": "a"}, "oidc_issuer": {"oidc_client_id": "c"}}


@pytest.mark.parametrize("name", CLOSING)
def test_a_setting_about_proxies_hosts_origins_or_identity_requires_authentication(name: str) -> None:
    settings = make_settings(**NEEDED.get(name, {}), **{name: CLOSING[name]})
    assert name in settings.requiring_auth
    assert not settings.is_open


def test_open_access_on_an_address_that_others_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    message = load_refused(monkeypatch, SWALLOWTAIL_AUTH="open", SWALLOWTAIL_HOST="192.0.2.7")
    assert message == "SWALLOWTAIL_AUTH: open is possible on a loopback SWALLOWTAIL_HOST only"
