"""Signing in on the command line: passwords, the token file, users and personal tokens."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select

from swallowtail.app.core.events import now
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.scripts.cli.remote.profiles import load_profiles
from tests.cli.command_line import CommandLine
from tests.cli.conftest import LOCAL
from tests.identity.bench import PASSWORD

NEW = "staple after staple"
#: The audit entries of creating `boss` and signing in.
SIGNED_IN = ["user.create", "session.open", "token.mint", "session.close"]


def token_file(cli: CommandLine) -> Path:
    (path,) = (cli.runtime.settings.var / "config" / "swallowtail").iterdir()
    return path


def audit(cli: CommandLine) -> list[tuple[str, str, str]]:
    with cli.runtime.db.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.scope == "").order_by(AuditEntry.number))
        return [(row.actor_name.split(" ")[0], row.action, row.entrance) for row in rows]


def test_without_signing_in_a_command_fails_and_names_login(cli: CommandLine) -> None:
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
        result = cli.run(*command)
        assert (result.exit_code, result.stdout) == (9, ""), command
        assert result.stderr == "swallowtail: you are not signed in; run `swallowtail login`\n"


def test_the_operator_creates_the_first_user_and_a_superuser_the_next(cli: CommandLine) -> None:
    refused = cli.run("users", "create", "ann", stdin=PASSWORD + "\n")
    assert (refused.exit_code, "the first user must be a superuser" in refused.stderr) == (2, True)
    assert cli.run("users", "create", "boss", "--superuser", stdin=PASSWORD + "\n").exit_code == 0
    assert cli.run("users", "create", "eve", "--superuser", stdin=PASSWORD + "\n").exit_code == 9
    assert cli.run("login", stdin=f"boss\n{PASSWORD}\n").exit_code == 0
    assert cli.run("users", "create", "ann", stdin=PASSWORD + "\n").exit_code == 0
    assert [one["name"] for one in cli.lines("users")] == ["ann", "boss"]
    assert "superuser" in cli.run("users").stdout
    cli.run("login", "--user", "ann", stdin=PASSWORD + "\n")
    assert cli.run("users", "create", "eve", stdin=PASSWORD + "\n").exit_code == 10
    assert audit(cli)[0] == ("operator", "user.create", "cli")


def test_the_operator_regains_access_when_no_superuser_can_and_an_entry_is_written(boss: CommandLine) -> None:
    result = boss.run("users", "password", "boss", "--as-operator", stdin=NEW + "\n")
    assert result.exit_code == 0
    assert boss.run("whoami").exit_code == 9
    assert boss.run("login", "--user", "boss", stdin=NEW + "\n").exit_code == 0
    assert ("operator", "user.password", "cli") in audit(boss)
    assert [one["name"] for one in boss.lines("users", "--as-operator")] == ["boss"]


def test_the_first_superuser_owns_the_demo_instance(boss: CommandLine) -> None:
    (member,) = boss.lines("members", "list", "demo")
    assert (member["name"], member["role"]) == ("boss", "owner")


def test_the_operator_sets_the_first_owner_who_adds_other_members(boss: CommandLine) -> None:
    create_instance(boss.runtime, "Old", "old")
    assert boss.run("list", "old").exit_code == 6
    assert boss.run("members", "set", "old", "boss", "owner").exit_code == 6
    (member,) = boss.lines("members", "set", "old", "boss", "owner", "--as-operator")
    assert (member["name"], member["role"]) == ("boss", "owner")
    assert boss.run("list", "old").exit_code == 0
    boss.run("users", "create", "ann", stdin=PASSWORD + "\n")
    assert boss.run("members", "set", "old", "ann", "viewer").exit_code == 0
    assert [one["name"] for one in boss.lines("members", "list", "old", "--as-operator")] == ["ann", "boss"]
    assert boss.run("members", "remove", "old", "boss", "--as-operator").exit_code == 7
    with boss.runtime.db.read() as session:
        rows = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.scope == "old", AuditEntry.action == "member.write")
            .order_by(AuditEntry.number)
        )
        assert [row.actor_name.split(" ")[0] for row in rows] == ["operator", "boss"]


def test_the_operator_maintains_the_deployment_without_signing_in(boss: CommandLine) -> None:
    boss.run("logout")
    for command in (
        ["keys", "status"],
        ["instances", "renew-epoch", "--all"],
        ["prune", "-i", "demo", "--events", "9"],
    ):
        assert boss.run(*command).exit_code == 9
        assert boss.run(*command, "--as-operator").exit_code == 0


def test_a_superuser_promotes_another_and_the_last_one_stays(boss: CommandLine) -> None:
    boss.run("users", "create", "ann", stdin=PASSWORD + "\n")
    assert boss.run("users", "demote", "boss").exit_code == 7
    assert boss.lines("users", "promote", "ann")[0]["is_superuser"] is True
    assert boss.lines("users", "demote", "boss")[0]["is_superuser"] is False
    assert boss.run("users", "promote", "boss").exit_code == 10
    assert boss.run("users", "promote", "boss", "--as-operator").exit_code == 0
    assert [action for _, action, _ in audit(boss)][-3:] == ["user.promote", "user.demote", "user.promote"]


def test_commands_act_as_the_signed_in_user_until_logout(boss: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    (who,) = boss.lines("whoami")
    assert (who["name"], who["kind"], who["is_superuser"]) == ("boss", "user", True)
    (instance,) = boss.lines("instances", "create", "Acme", "--id", "acme")
    assert [one["id"] for one in boss.lines("instances")] == [instance["id"], "demo"]
    create_instance(boss.runtime, "Old", "old")
    assert boss.run("list", "old").exit_code == 6
    secret = load_profiles("").by_name[LOCAL].token
    assert boss.run("logout").stderr == f"Signed out of http://{LOCAL}; the profile {LOCAL} is removed.\n"
    assert list((boss.runtime.settings.var / "config/swallowtail").iterdir()) == []
    assert boss.run("whoami").exit_code == 9
    monkeypatch.setenv("SWALLOWTAIL_TOKEN", str(secret))
    assert "was revoked; run `swallowtail login`" in boss.run("whoami").stderr
    assert [action for _, action, _ in audit(boss)][:5] == [*SIGNED_IN, "token.revoke"]


def test_only_the_owner_can_read_the_token_and_the_next_login_revokes_it(boss: CommandLine) -> None:
    path = token_file(boss)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    first = path.read_text()
    assert boss.run("login", "--user", "boss", stdin=PASSWORD + "\n").exit_code == 0
    assert path.read_text() != first
    assert len(boss.lines("tokens")) == 1
    path.chmod(0o640)
    for command in (["whoami"], ["login", "--user", "boss"]):
        result = boss.run(*command, stdin=PASSWORD + "\n")
        assert result.exit_code == 2
        assert "SWALLOWTAIL_TOKEN_FILE: others can read" in result.stderr
        assert first.strip() not in result.output


def test_a_login_lives_as_long_as_a_session_or_as_asked(boss: CommandLine) -> None:
    with time_machine.travel(now() + timedelta(hours=12, seconds=1)):
        result = boss.run("whoami")
        assert (result.exit_code, "has expired; run `swallowtail login" in result.stderr) == (9, True)
        assert boss.run("login", "--user", "boss", "--for", "1h", stdin=PASSWORD + "\n").exit_code == 0
        assert boss.run("login", "--user", "boss", "--for", "999w", stdin=PASSWORD + "\n").exit_code == 2
        assert boss.run("login", "--user", "boss", "--for", "0", stdin=PASSWORD + "\n").exit_code == 2


@pytest.mark.parametrize("stdin", ["wrong password\n", "", "\n"])
def test_a_wrong_password_leaves_everything_as_it_was(boss: CommandLine, stdin: str) -> None:
    result = boss.run("login", "--user", "boss", stdin=stdin)
    assert result.exit_code == (9 if stdin else 2)
    assert stdin.strip() not in result.output or not stdin.strip()
    assert boss.run("whoami").exit_code == 0
    assert (audit(boss)[-1] == ("", "login.failed", "rest")) == bool(stdin)


def test_the_token_of_the_environment_takes_precedence(boss: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    created = boss.run("tokens", "create", "ci", "--act", "instance.read", "--for", "1h")
    assert created.exit_code == 0
    monkeypatch.setenv("SWALLOWTAIL_TOKEN", created.stdout.strip())
    (who,) = boss.lines("whoami")
    assert who["acts"] == ["instance.read"]
    assert boss.run("instances", "create", "Acme").exit_code == 10
    monkeypatch.setenv("SWALLOWTAIL_TOKEN", "swt_nonsense")
    assert boss.run("whoami").exit_code == 9


def test_tokens_are_created_listed_and_revoked(boss: CommandLine) -> None:
    (created,) = boss.lines("tokens", "create", "ci", "--act", "instance.read", "--act", "task.submit")
    assert created["secret"].startswith("swt_")
    assert {one["name"].split(" ")[0] for one in boss.lines("tokens")} == {"ci", "swallowtail"}
    table = boss.run("tokens").stdout
    assert "instance.read, task.submit" in table
    assert created["secret"] not in table
    assert boss.run("tokens", "revoke", created["token"]["id"]).exit_code == 0
    assert boss.run("tokens", "revoke", created["token"]["id"].replace("-", "x")).exit_code == 2
    assert len(boss.lines("tokens")) == 1
    assert boss.run("tokens", "create", "ci", "--act", "everything").exit_code == 2


def test_a_user_changes_the_own_password_and_signs_in_with_it(boss: CommandLine) -> None:
    assert boss.run("users", "password", stdin=f"wrong\n{NEW}\n").exit_code == 10
    assert boss.run("users", "password", stdin=f"{PASSWORD}\nshort\n").exit_code == 2
    assert boss.run("users", "password", stdin=f"{PASSWORD}\n{NEW}\n").exit_code == 0
    assert boss.run("whoami").exit_code == 9
    assert boss.run("login", "--user", "boss", stdin=NEW + "\n").exit_code == 0


def test_users_are_disabled_enabled_and_created_for_an_identity_provider(boss: CommandLine) -> None:
    options = ("--issuer", "https://id.example", "--subject", "42")
    (ada,) = boss.lines("users", "create", "ada", *options)
    assert (ada["issuer"], ada["has_password"]) == ("https://id.example", False)
    assert boss.run("users", "create", "ida", "--issuer", "https://id.example").exit_code == 2
    assert boss.lines("users", "disable", "ada")[0]["disabled_at"] is not None
    assert "disabled" in boss.run("users").stdout
    assert boss.lines("users", "enable", "ada")[0]["disabled_at"] is None
    assert boss.run("users", "disable", "boss").exit_code == 7
    assert boss.run("users", "disable", "nobody").exit_code == 6
    assert boss.run("users", "create", "boss", stdin=PASSWORD + "\n").exit_code == 7
    assert boss.run("users", "create", "a b").exit_code == 2


def test_an_open_deployment_requires_no_sign_in(boss: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert boss.run("logout").exit_code == 0
    monkeypatch.setenv("SWALLOWTAIL_AUTH", "open")
    assert boss.run("whoami").stdout.startswith("anybody")
    assert [one["id"] for one in boss.lines("instances")] == ["demo"]
    assert boss.run("logout").stderr == "You were not signed in.\n"
    # A user who signed in acts as this user here too.
    assert boss.run("login", "--user", "boss", stdin=PASSWORD + "\n").exit_code == 0
    assert boss.run("whoami").stdout == "boss\n"


def test_no_command_takes_a_password_or_a_token_as_an_argument(cli: CommandLine) -> None:
    for command in (["login"], ["users", "create"], ["users", "password"], ["whoami"], ["logout"]):
        text = cli.run(*command, "--help").stdout
        assert "--password" not in text
        assert "--token" not in text
