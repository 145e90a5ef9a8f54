"""The start reports mistakes in settings: misspelt names, invalid addresses and origins."""

from __future__ import annotations

from pathlib import Path

import pytest

from swallowtail.app.core.config.settings import Settings, load_settings
from tests.core.config.refused_settings import load_refused
from tests.harness.settings import make_settings


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("SWALLOWTAIL_REDIS_URI", "SWALLOWTAIL_REDIS_URL"),
        ("SWALLOWTAIL_CORS_ORIGIN", "SWALLOWTAIL_CORS_ORIGINS"),
        ("swallowtail_hosts", "SWALLOWTAIL_HOST"),
        ("SWALLOWTAIL_ZZZ", None),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_misspelt_setting_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, name: str, near: str | None, place: str
) -> None:
    if place == "file":
        Path(".env").write_text(f"{name}=1\n", encoding="utf-8")
    complaint = load_refused(monkeypatch, **({name: "1"} if place == "environment" else {}))
    hint = f"did you mean {near}?" if near else "docs/settings.md lists them"
    assert complaint == f"{name}: there is no such setting; {hint}"


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"])
def test_celerys_own_variables_do_not_lead_to_another_broker(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    complaint = load_refused(monkeypatch, **{name: "rediss://elsewhere"})
    assert complaint.startswith(f"{name}: Celery would use it instead of SWALLOWTAIL_BROKER_URL")


def test_variables_of_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SWALLOWTAIL_SERVICE_HOST": "10.0.0.1",
        "SWALLOWTAIL_WEB_SERVICE_PORT_HTTP": "8000",
        "SWALLOWTAIL_WEB_PORT": "tcp://10.0.0.1:8000",
        "SWALLOWTAIL_WEB_PORT_8000_TCP_ADDR": "10.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    assert load_settings() == make_settings()


def test_a_misspelt_port_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a misspelt setting was ignored."""
    complaint = load_refused(monkeypatch, SWALLOWTAIL_METRICS_PORT="9100")
    assert complaint.startswith("SWALLOWTAIL_METRICS_PORT: there is no such setting")


@pytest.mark.parametrize(
    ("name", "url", "complaint"),
    [
        ("redis_url", "redis://a,b", "must name one host"),
        ("redis_url", "redis://user:hush@a:6379,b:6379/0", "must name one host"),
        ("redis_url", "redis://a:port", "'port' is no port"),
        ("redis_url", "redis://a:0", "'0' is no port"),
        ("redis_url", "redis://a:70000/0", "'70000' is no port"),
        ("redis_url", "redis://a b:6379", "'a b' is no host name"),
        ("redis_url", "redis://a:6379/zero", "must have the number of a database"),
        ("broker_url", "redis://a,b", "must name one host"),
        ("broker_url", "amqp://guest:hush@rabbit:x//", "'x' is no port"),
        ("broker_url", "amqps://-rabbit//", "'-rabbit' is no host name"),
        ("database_url", "postgresql://user:hush@a:b/c", "'b' is no port"),
        ("database_url", "postgresql://a:1,b:99999/c", "'99999' is no port"),
        ("database_url", "postgresql://user:hush/hush@a/c", "must have no / ? or # in its user or password"),
        ("redis_url", "redis://:hush#hush@a:6379/0", "must have no / ? or # in its user or password"),
        ("broker_url", "amqp://guest:hush?hush@a", "must have no / ? or # in its user or password"),
        ("redis_url", "redis://user:hush\u2100@a", "its host is invalid"),
        ("redis_url", "redis://[::1", "its host is invalid"),
        ("redis_url", "redis://b\u00fccher.example", "'b\u00fccher.example' is no host name; write it in ASCII"),
        ("openai_base_url", "api.example.org/v1", "must be an address such as https://"),
        ("openai_base_url", "https://", "must be an address such as https://"),
        ("openai_base_url", "https://a:x/v1", "'x' is no port"),
        ("oidc_issuer", "https://", "must be an address such as https://"),
        ("jwks_url", "https://:443/keys", "must be an address such as https://"),
        ("database_url", "postgresql://u:hush@a/c?foo=1", "'foo' is no parameter of PostgreSQL's URLs"),
        ("database_url", "postgresql://a/c?SSLMODE=require", "'SSLMODE' is no parameter"),
        ("database_url", "postgresql://a/c?prepare_threshold=0", "'prepare_threshold' is no parameter"),
        ("database_url", "postgresql://a/c?a%20b=1", "'a b' is no parameter"),
        ("database_url", "postgresql://a/c?sslmode=verifyfull", "sslmode must be one of disable, "),
        ("database_url", "postgresql://a/c?sslmode=", "sslmode must be one of disable, "),
        ("database_url", "postgresql://a/c?sslmode=require&sslmode=disable", "sslmode is repeated"),
    ],
)
def test_an_invalid_address_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, complaint: str
) -> None:
    message = load_refused(monkeypatch, **{f"SWALLOWTAIL_{name.upper()}": url})
    assert message.startswith(f"SWALLOWTAIL_{name.upper()}: {complaint}")
    assert "hush" not in message


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("redis_url", "redis://"),
        ("redis_url", "redis://:p@ss:w@host.example:6379/3"),
        ("redis_url", "redis://[::1]:6379"),
        ("redis_url", "unix:///run/redis.sock?db=2"),
        ("broker_url", "amqp://guest:guest@127.0.0.1:5672//"),
        ("broker_url", "amqp://rabbit/vhost"),
        ("database_url", "postgresql://u:p@a:5432,b:5433/name"),
        ("database_url", "postgresql:///name?host=/run/postgresql"),
        ("database_url", "postgresql:///name?host=a:1&host=b:2&target_session_attrs=primary"),
        (
            "database_url",
            "postgresql://h/name?sslmode=verify-full&sslrootcert=/ca.pem&application_name=x&options=-c%20a",
        ),
    ],
)
def test_an_address_of_every_usual_form_is_accepted(name: str, url: str) -> None:
    assert getattr(make_settings(**{name: url}), name) == url


@pytest.mark.parametrize("value", ["nan", "inf", "1e300", "9" * 30])
def test_a_number_that_no_arithmetic_can_use_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    names = [name.upper() for name, field in Settings.model_fields.items() if field.annotation in (int, float)]
    complaint = load_refused(monkeypatch, **{f"SWALLOWTAIL_{name}": value for name in names})
    assert [name for name in names if f"SWALLOWTAIL_{name}" not in complaint] == []


def test_an_empty_directory_is_the_default_and_not_the_present_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", "")
    assert load_settings() == make_settings()


def test_an_unknown_home_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    message = load_refused(monkeypatch, SWALLOWTAIL_VAR_DIR="~unknown-user/var")
    assert message.startswith("SWALLOWTAIL_VAR_DIR: begins with ~")


def test_origins_are_kept_as_browsers_write_them() -> None:
    origins = (
        "HTTPS://App.Example.org/, http://localhost:5173/ ,https://a.example:443,http://b.example:80,http://[::1]:8080,"
        "http://[0:0:0:0:0:0:0:1]:05173"
    )
    assert make_settings(cors_origins=origins).cors_origins == (
        "https://app.example.org,http://localhost:5173,https://a.example,http://b.example,http://[::1]:8080,"
        "http://[::1]:5173"
    )
    assert make_settings(cors_origins="*").cors_origins == "*"


@pytest.mark.parametrize(
    "origin", ["app.example.org", "ftp://a", "https://", "https://a/path", "https://a:x", "https://u@a", "https://a?b"]
)
def test_an_invalid_origin_is_refused(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    message = load_refused(monkeypatch, SWALLOWTAIL_CORS_ORIGINS=origin)
    assert message.startswith(f"SWALLOWTAIL_CORS_ORIGINS: {origin!r} is no origin")
