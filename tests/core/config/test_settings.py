"""Settings are read strictly from the environment and `.env`, and every message names its variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from swallowtail.app.core.config.locations import SOCKET_PATH_LIMIT
from swallowtail.app.core.config.settings import Settings, load_settings
from tests.core.config.refused_settings import load_refused
from tests.harness.settings import make_settings


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
    "url",
    "profile",
    "token",
    "secret_fields",
    "metrics_host",
}


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - FREE_TEXT))
def test_a_value_that_cannot_be_used_is_refused_with_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable = f"SWALLOWTAIL_{name.upper()}"
    message = load_refused(monkeypatch, **{variable: UNUSABLE.get(name, "-1")})
    assert message.startswith(variable)
    assert "\n" not in message
    assert "Value error" not in message


@pytest.mark.parametrize(
    "name", sorted(name for name, field in Settings.model_fields.items() if field.annotation in (int, float))
)
@pytest.mark.parametrize("value", ["many", "", "1e", "0x10"])
def test_a_number_must_be_one(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert load_refused(monkeypatch, **{f"SWALLOWTAIL_{name.upper()}": value}).startswith(f"SWALLOWTAIL_{name.upper()}")


def test_one_message_names_every_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    message = load_refused(monkeypatch, SWALLOWTAIL_PORT="x", SWALLOWTAIL_DATABASE_URL="oracle://")
    assert message == (
        "SWALLOWTAIL_DATABASE_URL: must start with sqlite:/// or postgresql://; "
        "SWALLOWTAIL_PORT (or PORT): must be a valid integer"
    )


def test_no_message_and_no_repr_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(openai_api_key=SecretStr("hush"))
    assert "hush" not in repr(settings)
    assert settings.openai_api_key.get_secret_value() == "hush"
    message = load_refused(monkeypatch, SWALLOWTAIL_OPENAI_API_KEY="hush", SWALLOWTAIL_REDIS_URL="http://user:hush@x")
    assert "hush" not in message


def test_port_is_read_too_and_our_own_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5000")
    assert load_settings().port == 5000
    monkeypatch.setenv("SWALLOWTAIL_PORT", "6000")
    assert load_settings().port == 6000
    monkeypatch.delenv("SWALLOWTAIL_PORT")
    assert "PORT" in load_refused(monkeypatch, PORT="none")


def test_a_port_in_the_environment_wins_over_both_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the variable decided before its place: the process listened on another port."""
    Path(".env").write_text("PORT=8110\n", encoding="utf-8")
    assert load_settings().port == 8110
    Path(".env").write_text("SWALLOWTAIL_PORT=8111\nPORT=8110\n", encoding="utf-8")
    assert load_settings().port == 8111
    monkeypatch.setenv("PORT", "5000")
    assert load_settings().port == 5000
    monkeypatch.setenv("SWALLOWTAIL_PORT", "6000")
    assert load_settings().port == 6000


def test_a_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        "# ours\nSWALLOWTAIL_QUEUE=from-file\nSWALLOWTAIL_HOST='0.0.0.0'\nOTHER=2\n"
        "SWALLOWTAIL_CHANNEL_PREFIX=abc # a remark\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("SWALLOWTAIL_QUEUE", "from-environment")
    settings = load_settings()
    assert (settings.queue, settings.host, settings.channel_prefix) == ("from-environment", "0.0.0.0", "abc")  # noqa: S104


def test_a_message_about_a_value_from_a_file_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SWALLOWTAIL_PAGE_SIZE=0\n", encoding="utf-8")
    assert load_refused(monkeypatch) == "SWALLOWTAIL_PAGE_SIZE: must be greater than or equal to 1"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(make_settings(), "port", 1)  # noqa: B010 - as code without a type checker does


@pytest.mark.parametrize("name", ["database_url", "redis_url", "broker_url"])
def test_an_empty_url_is_unset(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"SWALLOWTAIL_{name.upper()}", "")
    assert load_settings() == make_settings()


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
def test_a_database_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert "must name a file" in load_refused(monkeypatch, SWALLOWTAIL_DATABASE_URL=url)


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
def test_the_broker_url_has_the_form_that_celery_expects(redis: str | None, broker: str | None, spelled: str) -> None:
    assert make_settings(redis_url=redis, broker_url=broker).broker == spelled


def test_a_socket_path_that_is_too_long_is_replaced_by_the_address_that_the_server_wrote(tmp_path: Path) -> None:
    limit = SOCKET_PATH_LIMIT - len(bytes(tmp_path)) - len("//redis.sock")
    for length, fits in ((limit, True), (limit + 1, False)):
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
    assert load_refused(monkeypatch, **variables).startswith(f"SWALLOWTAIL_{name.upper()}")
