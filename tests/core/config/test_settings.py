"""Settings: read strictly, named in every complaint, frozen, and documented one by one in docs/settings.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from swallowtail.app.core.config import settings as module
from swallowtail.app.core.config.basic import is_basic
from swallowtail.app.core.config.locations import SOCKET_PATH_LIMIT
from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.errors import SettingsError
from tests.harness.program import ROOT
from tests.harness.settings import make_settings


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the developer's and no `.env` file of theirs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)


def _complaint(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return refused.value.message


def test_everything_has_a_default_and_the_defaults_are_those_of_one_machine(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings == make_settings()
    assert settings.var == tmp_path / "var"
    assert settings.database == f"sqlite:///{tmp_path / 'var/swallowtail.db'}"
    assert (settings.redis, settings.embedded_redis) == (f"unix://{tmp_path / 'var/redis.sock'}", True)
    assert settings.broker == f"redis+socket://{tmp_path / 'var/redis.sock'}"
    assert (settings.host, settings.port, settings.async_mode) == ("127.0.0.1", 8000, "eventlet")


UNUSABLE: dict[str, str] = {
    "database_url": "mysql://db",
    "redis_url": "http://cache",
    "broker_url": "kafka://broker",
    "channel_prefix": "a b",
    "queue": "q/q",
    "port": "65536",
    "async_mode": "twisted",
    "llm_provider": "oracle",
    "log_level": "LOUD",
    "log_format": "xml",
    "socketio_channel": "a b",
    "fetch_allow_private": "perhaps",
    "auth": "perhaps",
    "secret_key": "too short",
    "secret_key_previous": "too short",
    "jwt_provision": "perhaps",
    "token_issuer": "",
    "token_audience": "",
    "allowed_hosts": "no name",
    "trusted_proxies": "proxy.example.org",
    "oidc_issuer": "http://login.example.org",
    "oidc_scopes": "email",
    "oidc_provision": "perhaps",
}
FREE_TEXT = {
    "oidc_client_id",
    "oidc_client_secret",
    "var_dir",
    "host",
    "cors_origins",
    "demo_instance",
    "agents",
    "openai_base_url",
    "openai_api_key",
    "openai_model",
    "jwt_issuer",
    "jwt_audience",
    "token_file",
    "token",
    "secret_fields",
    "metrics_host",
}


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - FREE_TEXT))
def test_a_value_that_cannot_be_used_is_refused_with_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable = f"SWALLOWTAIL_{name.upper()}"
    complaint = _complaint(monkeypatch, **{variable: UNUSABLE.get(name, "-1")})
    assert complaint.startswith(variable)
    assert "\n" not in complaint
    assert "Value error" not in complaint


@pytest.mark.parametrize(
    "name", sorted(name for name, field in Settings.model_fields.items() if field.annotation in (int, float))
)
@pytest.mark.parametrize("value", ["many", "", "1e", "0x10"])
def test_a_number_must_be_one(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert _complaint(monkeypatch, **{f"SWALLOWTAIL_{name.upper()}": value}).startswith(f"SWALLOWTAIL_{name.upper()}")


def test_every_complaint_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = _complaint(monkeypatch, SWALLOWTAIL_PORT="x", SWALLOWTAIL_DATABASE_URL="oracle://")
    assert complaint == (
        "SWALLOWTAIL_DATABASE_URL: must start with sqlite:/// or postgresql://; "
        "SWALLOWTAIL_PORT (or PORT): Input should be a valid integer, unable to parse string as an integer"
    )


def test_a_secret_is_neither_shown_nor_complained_about(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(openai_api_key=SecretStr("hush"))
    assert "hush" not in repr(settings)
    assert settings.openai_api_key.get_secret_value() == "hush"
    complaint = _complaint(monkeypatch, SWALLOWTAIL_OPENAI_API_KEY="hush", SWALLOWTAIL_REDIS_URL="http://user:hush@x")
    assert "hush" not in complaint


def test_port_is_read_too_and_our_own_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5000")
    assert load_settings().port == 5000
    monkeypatch.setenv("SWALLOWTAIL_PORT", "6000")
    assert load_settings().port == 6000
    monkeypatch.delenv("SWALLOWTAIL_PORT")
    assert "PORT" in _complaint(monkeypatch, PORT="none")


def test_a_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        "# ours\nSWALLOWTAIL_QUEUE=from-file\nSWALLOWTAIL_HOST='0.0.0.0'\nOTHER=2\n"
        "SWALLOWTAIL_CHANNEL_PREFIX=abc # a remark\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("SWALLOWTAIL_QUEUE", "from-environment")
    settings = load_settings()
    assert (settings.queue, settings.host, settings.channel_prefix) == ("from-environment", "0.0.0.0", "abc")  # noqa: S104


def test_a_complaint_about_a_value_from_a_file_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SWALLOWTAIL_PAGE_SIZE=0\n", encoding="utf-8")
    assert _complaint(monkeypatch) == "SWALLOWTAIL_PAGE_SIZE: Input should be greater than or equal to 1"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(make_settings(), "port", 1)  # noqa: B010 - as code that no checker has seen would


@pytest.mark.parametrize("name", ["database_url", "redis_url", "broker_url"])
def test_an_empty_url_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"SWALLOWTAIL_{name.upper()}", "")
    assert load_settings() == make_settings()


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
def test_a_database_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert "must name a file" in _complaint(monkeypatch, SWALLOWTAIL_DATABASE_URL=url)


def test_a_postgres_url_may_be_spelled_in_the_old_way() -> None:
    assert make_settings(database_url="postgres://u@h/postgres").database == "postgresql://u@h/postgres"


@pytest.mark.parametrize(
    ("redis", "broker", "spelled"),
    [
        ("redis://cache:6379/1", None, "redis://cache:6379/1"),
        ("rediss://cache", None, "rediss://cache"),
        ("unix:///run/redis.sock", None, "redis+socket:///run/redis.sock"),
        ("unix:///run/redis.sock?db=3", None, "redis+socket:///run/redis.sock?virtual_host=3"),
        ("unix:///run/r.sock", None, "redis+socket:///run/r.sock"),
        ("redis://cache", "amqp://rabbit//", "amqp://rabbit//"),
        (None, "unix:///run/other.sock", "redis+socket:///run/other.sock"),
    ],
)
def test_the_broker_is_spelled_as_celery_wants_it(redis: str | None, broker: str | None, spelled: str) -> None:
    assert make_settings(redis_url=redis, broker_url=broker).broker == spelled


def test_a_socket_path_that_fits_is_used_and_a_longer_one_is_replaced_by_what_the_server_wrote(tmp_path: Path) -> None:
    room = SOCKET_PATH_LIMIT - len(bytes(tmp_path)) - len("//redis.sock")
    for length, fits in ((room, True), (room + 1, False)):
        directory = tmp_path / ("d" * length)
        directory.mkdir()
        settings = make_settings(var_dir=directory)
        socket = f"unix://{directory}/redis.sock"
        assert settings.redis == socket, "nothing has been written yet"
        (directory / "redis.url").write_text("redis://127.0.0.1:7777/0\n", encoding="utf-8")
        assert settings.redis == (socket if fits else "redis://127.0.0.1:7777/0")
        assert settings.embedded_redis


def test_a_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert make_settings(var_dir="~/state").var == tmp_path / "state"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"lease_seconds": 2, "heartbeat_seconds": 2}, "heartbeat_seconds"),
        ({"soft_time_limit": 700}, "hard_time_limit"),
        ({"soft_time_limit": 5, "hard_time_limit": 4}, "hard_time_limit"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], name: str
) -> None:
    variables = {f"SWALLOWTAIL_{key.upper()}": str(value) for key, value in values.items()}
    assert _complaint(monkeypatch, **variables).startswith(f"SWALLOWTAIL_{name.upper()}")


def test_the_tables_in_the_docs_list_the_basic_settings_first_and_then_every_other_in_its_group() -> None:
    """When this fails, the expected lines are those to put into docs/settings.md."""
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows, expected = [line for line in written.splitlines() if line.startswith(("##", "| `"))], _expected_rows()
    missing, extra = [row for row in expected if row not in rows], [row for row in rows if row not in expected]
    assert rows == expected, "\n".join(["missing:", *missing, "too many:", *extra])


def test_the_readme_and_the_example_show_the_basic_settings_and_no_others() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    basic = _basic_names()
    assert [line for line in readme.splitlines() if line.startswith("| `SWALLOWTAIL_")] == [
        _row(name) for name in basic
    ]
    assert sorted(re.findall(r"^# SWALLOWTAIL_(\w+)=", example, flags=re.MULTILINE)) == sorted(map(str.upper, basic))
    assert 15 <= len(basic) <= 25


def _basic_names() -> list[str]:
    return [name for _, name in _fields() if name and is_basic(Settings.model_fields[name])]


def _fields() -> list[tuple[str, str]]:
    """The comment above each group of settings, and the names of the settings, in the order of the docs."""
    parts = (
        "locations", "http", "auth", "agents", "tasks", "operations", "delivery", "database", "limits", "privacy",
    )  # fmt: skip
    source = "\n".join(Path(module.__file__).with_name(f"{part}.py").read_text(encoding="utf-8") for part in parts)
    return re.findall(r"^    (?:# (.+)|(\w+): .+? = (?:Field|basic)\()", source, flags=re.MULTILINE)


def _expected_rows() -> list[str]:
    rows = ["## Basic settings", *(_row(name) for name in _basic_names()), "## Advanced settings"]
    group = ""
    for heading, name in _fields():
        group = heading or group
        if name and not is_basic(Settings.model_fields[name]):
            rows += ([f"### {group}"] if group else []) + [_row(name)]
            group = ""
    return rows


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if isinstance(default, bool):
        default = str(default).lower()
    if isinstance(default, float):
        default = f"{default:g}"
    shown = "" if default in (None, "") else f"`{default}`"
    return f"| `SWALLOWTAIL_{name.upper()}` | {shown} | {field.description} |"


def test_every_setting_is_described_in_a_sentence_that_fits_a_table() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert "|" not in field.description
        assert not field.description.endswith(".")


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
def test_anybody_may_come_in_on_the_embedded_default_bound_to_loopback_only(
    variables: dict[str, Any], is_open: bool
) -> None:
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
def test_whatever_is_set_about_proxies_hosts_origins_or_identity_has_callers_say_who_they_are(name: str) -> None:
    settings = make_settings(**NEEDED.get(name, {}), **{name: CLOSING[name]})
    assert name in settings.closing
    assert not settings.is_open


def test_open_access_on_an_address_that_others_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = _complaint(monkeypatch, SWALLOWTAIL_AUTH="open", SWALLOWTAIL_HOST="192.0.2.7")
    assert complaint == "SWALLOWTAIL_AUTH: open is possible on a loopback SWALLOWTAIL_HOST only"
