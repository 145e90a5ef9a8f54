"""Profiles: which server a command calls, and which token that server is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from swallowtail.scripts.cli.remote.profiles import load_profiles
from tests.cli.command_line import CommandLine
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
