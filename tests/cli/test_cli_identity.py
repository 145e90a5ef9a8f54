"""Signing in on the command line: passwords never in arguments, a token file that nobody else reads, the first user."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select

from swallowtail.app.core.events import now
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.scripts.cli import token_store
from tests.cli.desk import Desk, open_desk
from tests.identity.bench import PASSWORD

NEW = "staple after staple"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk where one has to sign in."""
    for name, value in {"AUTH": "required", "PASSWORD_MEMORY_KIB": "8", "PASSWORD_ROUNDS": "1"}.items():
        monkeypatch.setenv(f"SWALLOWTAIL_{name}", value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with open_desk(tmp_path, monkeypatch) as desk:
        yield desk


@pytest.fixture
def boss(desk: Desk) -> Desk:
    """The same, with the superuser `boss` signed in."""
    assert desk.call("users", "create", "boss", "--superuser", given=PASSWORD + "\n").exit_code == 0
    assert desk.call("login", "boss", given=PASSWORD + "\n").exit_code == 0
    return desk


def token_file(desk: Desk) -> Path:
    (found,) = (desk.runtime.settings.var / "config" / "swallowtail").iterdir()
    return found


def audit(desk: Desk) -> list[tuple[str, str, str]]:
    with desk.runtime.db.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.scope == "").order_by(AuditEntry.number))
        return [(row.actor_name.split(" ")[0], row.action, row.entrance) for row in rows]


def test_without_signing_in_nothing_is_done_and_one_is_told_how_to(desk: Desk) -> None:
    commands = (
        ["instances"],
        ["instances", "create", "Acme"],
        ["list", "demo"],
        ["agents"],
        ["enqueue", "echo", "-i", "demo", "-s", "message=hi"],
        ["whoami"],
        ["tokens"],
        ["users"],
        ["users", "disable", "boss"],
    )
    for command in commands:
        result = desk.call(*command)
        assert (result.exit_code, result.stdout) == (9, ""), command
        assert result.stderr == "swallowtail: you are not signed in; run `swallowtail login`\n"


def test_the_first_user_is_made_by_the_operator_and_the_next_by_a_superuser(desk: Desk) -> None:
    refused = desk.call("users", "create", "ann", given=PASSWORD + "\n")
    assert (refused.exit_code, "the first user must be a superuser" in refused.stderr) == (2, True)
    assert desk.call("users", "create", "boss", "--superuser", given=PASSWORD + "\n").exit_code == 0
    assert desk.call("users", "create", "eve", "--superuser", given=PASSWORD + "\n").exit_code == 9
    assert desk.call("login", given=f"boss\n{PASSWORD}\n").exit_code == 0
    assert desk.call("users", "create", "ann", given=PASSWORD + "\n").exit_code == 0
    assert [one["name"] for one in desk.lines("users")] == ["ann", "boss"]
    assert "superuser" in desk.call("users").stdout
    desk.call("login", "ann", given=PASSWORD + "\n")
    assert desk.call("users", "create", "eve", given=PASSWORD + "\n").exit_code == 10
    assert audit(desk)[0] == ("operator", "user.create", "cli")


def test_the_operator_gets_in_again_when_no_superuser_can_and_it_is_written_down(boss: Desk) -> None:
    result = boss.call("users", "password", "boss", "--as-operator", given=NEW + "\n")
    assert result.exit_code == 0
    assert boss.call("whoami").exit_code == 9
    assert boss.call("login", "boss", given=NEW + "\n").exit_code == 0
    assert ("operator", "user.password", "cli") in audit(boss)
    assert [one["name"] for one in boss.lines("users", "--as-operator")] == ["boss"]


def test_the_operator_makes_the_first_owner_who_goes_on_from_there(boss: Desk) -> None:
    assert boss.call("list", "demo").exit_code == 6
    assert boss.call("members", "set", "demo", "boss", "owner").exit_code == 6
    (made,) = boss.lines("members", "set", "demo", "boss", "owner", "--as-operator")
    assert (made["name"], made["role"]) == ("boss", "owner")
    assert boss.call("list", "demo").exit_code == 0
    boss.call("users", "create", "ann", given=PASSWORD + "\n")
    assert boss.call("members", "set", "demo", "ann", "viewer").exit_code == 0
    assert [one["name"] for one in boss.lines("members", "list", "demo", "--as-operator")] == ["ann", "boss"]
    assert boss.call("members", "remove", "demo", "boss", "--as-operator").exit_code == 7
    with boss.runtime.db.read() as session:
        rows = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.scope == "demo", AuditEntry.action == "member.write")
            .order_by(AuditEntry.number)
        )
        assert [row.actor_name.split(" ")[0] for row in rows] == ["operator", "boss"]


def test_the_operator_looks_after_the_deployment_without_signing_in(boss: Desk) -> None:
    boss.call("logout")
    for command in (
        ["keys", "status"],
        ["instances", "renew-epoch", "--all"],
        ["prune", "-i", "demo", "--events", "9"],
    ):
        assert boss.call(*command).exit_code == 9
        assert boss.call(*command, "--as-operator").exit_code == 0


def test_a_superuser_makes_another_and_the_last_one_stays(boss: Desk) -> None:
    boss.call("users", "create", "ann", given=PASSWORD + "\n")
    assert boss.call("users", "demote", "boss").exit_code == 7
    assert boss.lines("users", "promote", "ann")[0]["is_superuser"] is True
    assert boss.lines("users", "demote", "boss")[0]["is_superuser"] is False
    assert boss.call("users", "promote", "boss").exit_code == 10
    assert boss.call("users", "promote", "boss", "--as-operator").exit_code == 0
    assert [action for _, action, _ in audit(boss)][-3:] == ["user.promote", "user.demote", "user.promote"]


def test_who_signed_in_acts_as_themselves_until_they_sign_out(boss: Desk) -> None:
    (who,) = boss.lines("whoami")
    assert (who["name"], who["kind"], who["is_superuser"]) == ("boss", "user", True)
    (made,) = boss.lines("instances", "create", "Acme", "--id", "acme")
    assert [one["id"] for one in boss.lines("instances")] == [made["id"]]
    assert boss.call("list", "demo").exit_code == 6
    kept = token_file(boss).read_text()
    assert boss.call("logout").stderr == "You are signed out.\n"
    assert list((boss.runtime.settings.var / "config/swallowtail").iterdir()) == []
    assert boss.call("whoami").exit_code == 9
    token_store.keep_token(boss.runtime.settings, kept.strip())
    assert "was revoked; run `swallowtail login`" in boss.call("whoami").stderr
    assert [action for _, action, _ in audit(boss)] == ["user.create", "token.mint", "token.revoke"]


def test_the_token_is_kept_for_its_owner_alone_and_revoked_by_the_next_login(boss: Desk) -> None:
    path = token_file(boss)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    first = path.read_text()
    assert boss.call("login", "boss", given=PASSWORD + "\n").exit_code == 0
    assert path.read_text() != first
    assert len(boss.lines("tokens")) == 1
    path.chmod(0o640)
    for command in (["whoami"], ["login", "boss"]):
        result = boss.call(*command, given=PASSWORD + "\n")
        assert result.exit_code == 2
        assert "SWALLOWTAIL_TOKEN_FILE: others can read" in result.stderr
        assert first.strip() not in result.output


def test_each_deployment_has_a_file_of_its_own_unless_one_is_named(
    boss: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = boss.runtime.settings
    other = settings.model_copy(update={"database_url": "postgresql://elsewhere/db"})
    assert token_store.token_path(settings) == token_file(boss)
    assert token_store.token_path(other) != token_store.token_path(settings)
    monkeypatch.setenv("SWALLOWTAIL_TOKEN_FILE", str(tmp_path / "mine" / "token"))
    assert boss.call("whoami").exit_code == 9
    assert boss.call("login", "boss", given=PASSWORD + "\n").exit_code == 0
    assert (tmp_path / "mine" / "token").read_text().startswith("swt_")


def test_a_login_lives_as_long_as_a_session_or_as_asked(boss: Desk) -> None:
    with time_machine.travel(now() + timedelta(hours=12, seconds=1)):
        result = boss.call("whoami")
        assert (result.exit_code, "has expired; run `swallowtail login`" in result.stderr) == (9, True)
        assert boss.call("login", "boss", "--for", "1h", given=PASSWORD + "\n").exit_code == 0
        assert boss.call("login", "boss", "--for", "999w", given=PASSWORD + "\n").exit_code == 2
        assert boss.call("login", "boss", "--for", "0", given=PASSWORD + "\n").exit_code == 2


@pytest.mark.parametrize("given", ["wrong password\n", "", "\n"])
def test_a_wrong_password_leaves_everything_as_it_was(boss: Desk, given: str) -> None:
    result = boss.call("login", "boss", given=given)
    assert result.exit_code == (9 if given else 2)
    assert given.strip() not in result.output or not given.strip()
    assert boss.call("whoami").exit_code == 0
    assert (audit(boss)[-1] == ("", "login.failed", "cli")) == bool(given)


def test_the_token_of_the_environment_is_for_scripts_and_wins(boss: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    minted = boss.call("tokens", "create", "ci", "--act", "instance.read", "--for", "1h")
    assert minted.exit_code == 0
    monkeypatch.setenv("SWALLOWTAIL_TOKEN", minted.stdout.strip())
    (who,) = boss.lines("whoami")
    assert who["acts"] == ["instance.read"]
    assert boss.call("instances", "create", "Acme").exit_code == 10
    monkeypatch.setenv("SWALLOWTAIL_TOKEN", "swt_nonsense")
    assert boss.call("whoami").exit_code == 9


def test_tokens_are_minted_listed_and_revoked(boss: Desk) -> None:
    (minted,) = boss.lines("tokens", "create", "ci", "--act", "instance.read", "--act", "task.submit")
    assert minted["secret"].startswith("swt_")
    assert {one["name"].split(" ")[0] for one in boss.lines("tokens")} == {"ci", "swallowtail"}
    table = boss.call("tokens").stdout
    assert "instance.read, task.submit" in table
    assert minted["secret"] not in table
    assert boss.call("tokens", "revoke", minted["token"]["id"]).exit_code == 0
    assert boss.call("tokens", "revoke", minted["token"]["id"].replace("-", "x")).exit_code == 2
    assert len(boss.lines("tokens")) == 1
    assert boss.call("tokens", "create", "ci", "--act", "everything").exit_code == 2


def test_one_changes_ones_own_password_and_signs_in_with_it(boss: Desk) -> None:
    assert boss.call("users", "password", given=f"wrong\n{NEW}\n").exit_code == 10
    assert boss.call("users", "password", given=f"{PASSWORD}\nshort\n").exit_code == 2
    assert boss.call("users", "password", given=f"{PASSWORD}\n{NEW}\n").exit_code == 0
    assert boss.call("whoami").exit_code == 9
    assert boss.call("login", "boss", given=NEW + "\n").exit_code == 0


def test_users_are_disabled_enabled_and_made_known_by_a_provider(boss: Desk) -> None:
    options = ("--issuer", "https://id.example", "--subject", "42")
    (ada,) = boss.lines("users", "create", "ada", *options)
    assert (ada["issuer"], ada["has_password"]) == ("https://id.example", False)
    assert boss.call("users", "create", "ida", "--issuer", "https://id.example").exit_code == 2
    assert boss.lines("users", "disable", "ada")[0]["disabled_at"] is not None
    assert "disabled" in boss.call("users").stdout
    assert boss.lines("users", "enable", "ada")[0]["disabled_at"] is None
    assert boss.call("users", "disable", "boss").exit_code == 7
    assert boss.call("users", "disable", "nobody").exit_code == 6
    assert boss.call("users", "create", "boss", given=PASSWORD + "\n").exit_code == 7
    assert boss.call("users", "create", "a b").exit_code == 2


def test_where_everybody_is_let_in_nobody_has_to_sign_in(boss: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert boss.call("logout").exit_code == 0
    monkeypatch.setenv("SWALLOWTAIL_AUTH", "open")
    assert boss.call("whoami").stdout.startswith("operator ")
    assert [one["id"] for one in boss.lines("instances")] == ["demo"]
    assert boss.call("logout").stderr == "You were not signed in.\n"
    # Who signed in all the same is who they say.
    assert boss.call("login", "boss", given=PASSWORD + "\n").exit_code == 0
    assert boss.call("whoami").stdout == "boss\n"


def test_no_command_takes_a_password_or_a_token_as_an_argument(desk: Desk) -> None:
    for command in (["login"], ["users", "create"], ["users", "password"], ["whoami"], ["logout"]):
        told = desk.call(*command, "--help").stdout
        assert "--password" not in told
        assert "--token" not in told
