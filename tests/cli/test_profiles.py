"""Profiles: which server a command calls, and which token that server is shown."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swallowtail.app.core.tables.base import Base
from swallowtail.scripts.cli.remote import open_client
from swallowtail.scripts.cli.remote.profiles import load_profiles
from tests.cli.command_line import CommandLine, open_command_line
from tests.cli.conftest import LOCAL
from tests.identity.bench import PASSWORD


def test_the_file_of_profiles_can_be_configured(
    boss: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_TOKEN_FILE", str(tmp_path / "mine" / "token"))
    assert boss.run("whoami").exit_code == 9
    assert boss.run("login", "--user", "boss", stdin=PASSWORD + "\n").exit_code == 0
    assert "swt_" in (tmp_path / "mine" / "token").read_text()
    (tmp_path / "mine" / "token").write_text("swt_of_an_earlier_version")
    result = boss.run("whoami")
    assert (result.exit_code, "is no list of profiles" in result.stderr) == (2, True)
    assert "swt_of" not in result.output


def test_a_token_is_shown_to_its_own_server_only(boss: CommandLine) -> None:
    assert boss.run("whoami", "--url", f"http://{LOCAL}/").exit_code == 0
    elsewhere = boss.run("whoami", "--url", "http://elsewhere.example:8000")
    assert (elsewhere.exit_code, elsewhere.stdout) == (8, "")
    assert "elsewhere.example" in elsewhere.stderr
    assert boss.run("--url", "http://localhost:8000", "whoami").exit_code == 9


def test_profiles_are_named_chosen_and_removed(boss: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = load_profiles("").by_name[LOCAL].token
    login = ("login", "http://localhost:8000", "--profile", "work", "--with-token")
    assert boss.run(*login, stdin="swt_nonsense\n").exit_code == 9
    done = boss.run(*login, stdin=f"{secret}\n")
    assert done.stderr.startswith("Signed in as boss at http://localhost:8000. The profile work is stored in ")
    assert [(one["name"], one["default"]) for one in boss.lines("profiles")] == [(LOCAL, False), ("work", True)]
    assert str(secret) not in boss.run("profiles").stdout
    for arguments in (["--profile", LOCAL, "whoami"], ["whoami", "--profile", LOCAL]):
        assert f"at http://{LOCAL} (profile {LOCAL})" in boss.run(*arguments).stderr
    assert boss.run("profiles", "use", LOCAL).exit_code == 0
    assert f"(profile {LOCAL})" in boss.run("whoami").stderr
    monkeypatch.setenv("SWALLOWTAIL_PROFILE", "work")
    assert "(profile work)" in boss.run("whoami").stderr
    monkeypatch.setenv("SWALLOWTAIL_URL", f"http://{LOCAL}")
    assert "(SWALLOWTAIL_URL)" in boss.run("whoami").stderr
    unknown = boss.run("whoami", "--profile", "home")
    assert (unknown.exit_code, "there is no profile 'home' (known: " in unknown.stderr) == (6, True)
    assert boss.run("whoami", "--profile", "work", "--url", "http://localhost").exit_code == 2
    assert boss.run("profiles", "remove", "work").exit_code == 0
    assert boss.run("profiles", "use", "work").exit_code == 6


@pytest.mark.parametrize("url", ["boss", "ftp://host", "http://", "https://me@host", "https://host/?a=b"])
def test_a_login_needs_the_url_of_a_server(cli: CommandLine, url: str) -> None:
    result = cli.run("login", url)
    assert (result.exit_code, result.stderr.startswith("swallowtail: URL: must be a URL such as")) == (2, True)
    assert cli.run("login", "--profile", "new").stderr == "swallowtail: URL: is required for the new profile new\n"


@pytest.fixture
def open_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    with open_command_line(tmp_path, monkeypatch) as cli:
        yield cli


def test_without_a_server_it_prints_what_to_do(open_cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_client, "transport", None)
    with closed_port() as port:
        monkeypatch.setenv("SWALLOWTAIL_PORT", str(port))
        own = open_cli.run("list", "demo")
        named = open_cli.run("list", "demo", "--url", f"http://localhost:{port}")
    assert (own.exit_code, named.exit_code) == (8, 8)
    assert own.stderr.startswith(f"swallowtail: no answer from http://127.0.0.1:{port}: ")
    assert own.stderr.endswith(
        "; start a server with `swallowtail up`, or name another one with --url or `swallowtail login URL`\n"
    )
    assert named.stderr.endswith("; check --url\n")


def test_a_command_on_the_database_prints_what_to_do_without_one_and_creates_nothing(
    open_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", str(tmp_path / "elsewhere"))
    missing = open_cli.run("users")
    assert missing.exit_code == 8
    assert "run swallowtail up" in missing.stderr
    assert not (tmp_path / "elsewhere").exists()

    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", str(tmp_path))
    Base.metadata.drop_all(open_cli.runtime.db.engine)
    empty = open_cli.run("users")
    assert empty.exit_code == 8
    assert "the database is not set up" in empty.stderr


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that nothing listens on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
