"""The embedded server: its address, its permissions, and one server per var directory."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.ledger.outbox import make_sender, read_depth
from swallowtail.scripts.processes.embedded_redis import execute, prepare_address, public_address, write_config
from tests.harness.program import Program, make_directory, remove_directory
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

#: Too long for the path of a socket.
LONG = "v" * 120


@pytest.fixture
def home() -> Iterator[Path]:
    directory = make_directory()
    yield directory
    remove_directory(directory)


def settings_in(var: Path, **fields: object) -> Settings:
    return make_settings(var_dir=var, **fields)


def server(var: Path, name: str = "redis", **env: str) -> Program:
    env = {"SWALLOWTAIL_VAR_DIR": str(var), **env}
    return Program(
        name,
        [sys.executable, "-m", "swallowtail.scripts.processes.embedded_redis"],
        log=var.parent / f"{name}.log",
        env=env,
        cwd=var.parent,
    )


@contextmanager
def connected(settings: Settings) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(settings.redis, socket_timeout=10)
    try:
        yield client
    finally:
        client.close()


def answers(settings: Settings) -> bool:
    try:
        with connected(settings) as client:
            return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


def test_its_address_is_a_socket_in_the_var_directory(home: Path) -> None:
    settings = settings_in(home / "var")
    assert prepare_address(settings) == f"unix://{home}/var/redis.sock" == settings.redis
    assert public_address(settings) == f"{home}/var/redis.sock"


@pytest.mark.service
@pytest.mark.parametrize("name", ["a b", "#1", "50%", "100%41", "why?", "ä ö", "a;b@c:d", 'quote"d', "back\\slash"])
def test_it_is_found_in_a_directory_with_any_character_in_its_path(home: Path, name: str) -> None:
    settings = settings_in(home / name / "var")
    settings.var.parent.mkdir()
    with server(settings.var):
        wait_until(lambda: answers(settings), "the server answers")
        with make_sender(settings) as sender:
            assert read_depth(settings, sender) == 0
    assert f" on {settings.var}/redis.sock; " in (settings.var.parent / "redis.log").read_text()


def test_a_server_that_cannot_be_executed_is_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = home / "redis-server"
    program.write_bytes(b"no program")
    program.chmod(0o700)
    with pytest.raises(SettingsError, match=rf"^{program} cannot be executed: Exec format error; install redis or"):
        execute(str(program), home / "redis.conf")


def test_a_path_too_long_for_a_socket_gives_a_port_that_stays_the_same(home: Path) -> None:
    settings = settings_in(home / LONG)
    url = urlsplit(prepare_address(settings))
    assert (url.scheme, url.hostname) == ("redis", "127.0.0.1")
    assert url.password
    assert prepare_address(settings) == url.geturl() == settings.redis
    assert url.password not in public_address(settings)
    assert stat.S_IMODE((settings.var / "redis.url").stat().st_mode) == 0o600


def test_a_password_is_in_no_file_that_others_can_read(home: Path) -> None:
    config = write_config(settings_in(home / LONG))
    assert "requirepass" in config.read_text()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


@pytest.mark.service
def test_it_serves_this_user_only_on_its_socket(home: Path) -> None:
    settings = settings_in(home / "var")
    with server(settings.var).start(wait=False) as program:
        program.wait_for(lambda: answers(settings), "it answers")
        assert stat.S_IMODE(settings.var.stat().st_mode) == 0o700
        assert stat.S_IMODE((settings.var / "redis.sock").stat().st_mode) == 0o700
        assert program.terminate() == 0


@pytest.mark.service
@pytest.mark.parametrize("name", [LONG, 'with "quotes" and \\', "with blanks"])
def test_it_serves_in_a_directory_of_any_name(home: Path, name: str) -> None:
    settings = settings_in(home / name)
    with server(settings.var).start(wait=False) as program:
        program.wait_for(lambda: answers(settings), "it answers")


@pytest.mark.service
def test_on_a_port_it_asks_for_the_password(home: Path) -> None:
    settings = settings_in(home / LONG)
    with server(settings.var).start(wait=False) as program:
        program.wait_for(lambda: answers(settings), "it answers")
        stranger = redis.Redis(port=urlsplit(settings.redis).port or 0)
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()


@pytest.mark.service
def test_it_keeps_nothing_over_a_restart(home: Path) -> None:
    settings = settings_in(home / "var")
    with server(settings.var).start(wait=False) as program:
        program.wait_for(lambda: answers(settings), "it answers")
        with connected(settings) as client:
            client.set("key", "value")
        program.restart(wait=False)
        program.wait_for(lambda: answers(settings), "it answers again")
        with connected(settings) as client:
            assert client.get("key") is None


@pytest.mark.service
def test_a_second_one_waits_and_takes_over(home: Path) -> None:
    settings = settings_in(home / "var")
    with server(settings.var, "first").start(wait=False) as first:
        first.wait_for(lambda: answers(settings), "it answers")
        with server(settings.var, "second").start(wait=False) as second:
            second.wait_for_log(f"an embedded server (process {first.pid}) serves {settings.var} already")
            first.kill()
            second.wait_for(lambda: answers(settings), "the second answers")


@pytest.mark.service
def test_it_stands_by_when_another_redis_is_set(home: Path) -> None:
    with server(home / "var", SWALLOWTAIL_REDIS_URL="redis://127.0.0.1:1/0").start(wait=False) as program:
        program.wait_for_log("SWALLOWTAIL_REDIS_URL is set")
        assert program.is_running
        assert not (home / "var").exists()
        assert program.terminate() == 0


@pytest.mark.service
def test_a_wrong_setting_is_named(home: Path) -> None:
    program = server(home / "var", SWALLOWTAIL_QUEUE="no blanks please").start(wait=False)
    wait_until(lambda: not program.is_running, "it ends")
    assert program.wait() == 1
    assert program.log_text().startswith("SWALLOWTAIL_QUEUE: ")
