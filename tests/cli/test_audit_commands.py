"""Which audit entries each command writes: a table. A command that is not in the table fails."""

from __future__ import annotations

import base64
import itertools
import os
import pwd
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.scripts.cli.main import COMMANDS, PROCESSES
from tests.cli.command_line import CommandLine, load_commands, open_command_line
from tests.cli.test_access_commands import paths
from tests.identity.bench import PASSWORD

ACCOUNT = pwd.getpwuid(os.getuid()).pw_name
WHERE = f"{ACCOUNT}@{socket.gethostname()}"[:64]
NEW = "staple after staple"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """The arguments of a command, and the scope, action and object type of each entry that it writes, in order."""

    marks: list[tuple[str, str, str]]
    arguments: Callable[[CommandLine], list[str]] = lambda _: []
    stdin: str | None = None


def new_name() -> str:
    return f"n{next(_NUMBERS)}"


def new_user(cli: CommandLine) -> str:
    name = new_name()
    assert cli.run("users", "create", name, stdin=PASSWORD + "\n").exit_code == 0
    return name


def new_member(cli: CommandLine) -> str:
    name = new_user(cli)
    assert cli.run("members", "set", "demo", name, "viewer").exit_code == 0
    return name


def done_to_user(cli: CommandLine, *before: str) -> list[str]:
    name = new_user(cli)
    assert cli.run("users", *before, name).exit_code == 0
    return [name]


def new_failure(cli: CommandLine) -> str:
    task_id = cli.submit()
    cli.fail(task_id)
    return task_id


def new_schedule(cli: CommandLine, *, paused: bool = False) -> str:
    options = ("echo", "-i", "demo", "--every", "1h", "-s", "message=hi")
    (schedule,) = cli.lines("schedule", "add", new_name(), *options)
    if paused:
        cli.run("schedule", "pause", schedule["id"])
    return str(schedule["id"])


def new_token(cli: CommandLine, *command: str) -> str:
    (created,) = cli.lines(*command)
    return str(created["token"]["id"])


def old_events(cli: CommandLine) -> list[str]:
    cli.submit()
    return ["-i", "demo", "--events", "0"]


def new_instance(cli: CommandLine) -> str:
    (instance,) = cli.lines("instances", "create", "Doomed", "--id", "doomed")
    return str(instance["id"])


TABLE = {
    "instances create": AuditTrail([("fresh", "instance.create", "instance")], lambda _: ["Fresh", "--id", "fresh"]),
    "enqueue": AuditTrail([("demo", "task.submit", "task")], lambda _: ["echo", "-i", "demo", "-s", "message=hi"]),
    "cancel": AuditTrail([("demo", "task.cancel", "task")], lambda cli: [cli.submit()]),
    "retry": AuditTrail([("demo", "task.retry", "task")], lambda cli: [new_failure(cli)]),
    "schedule add": AuditTrail(
        [("demo", "schedule.write", "schedule")],
        lambda _: [new_name(), "echo", "-i", "demo", "--every", "1h", "-s", "message=hi"],
    ),
    "schedule pause": AuditTrail([("demo", "schedule.write", "schedule")], lambda cli: [new_schedule(cli)]),
    "schedule resume": AuditTrail(
        [("demo", "schedule.write", "schedule")], lambda cli: [new_schedule(cli, paused=True)]
    ),
    "schedule remove": AuditTrail([("demo", "schedule.write", "schedule")], lambda cli: [new_schedule(cli)]),
    "members set": AuditTrail([("demo", "member.write", "user")], lambda cli: ["demo", new_user(cli), "viewer"]),
    "members remove": AuditTrail([("demo", "member.write", "user")], lambda cli: ["demo", new_member(cli)]),
    "front-end-tokens create": AuditTrail([("demo", "token.mint", "token")], lambda _: ["demo", "page"]),
    "front-end-tokens mint": AuditTrail([("demo", "token.mint", "token")], lambda _: ["demo", "page"]),
    "front-end-tokens revoke": AuditTrail(
        [("demo", "token.revoke", "token")],
        lambda cli: ["demo", new_token(cli, "front-end-tokens", "create", "demo", "page")],
    ),
    "policy set": AuditTrail([("demo", "policy.write", "policy")], lambda _: ["demo", "--secret-field", "iban"]),
    "instances export": AuditTrail([("demo", "instance.export", "instance")], lambda _: ["demo", "-o", "copy.jsonl"]),
    "instances delete": AuditTrail(
        [("doomed", "instance.delete", "instance")] * 2, lambda cli: [new_instance(cli), "--confirm", "doomed"]
    ),
    "instances renew-epoch": AuditTrail([("demo", "instance.renew_epoch", "instance")], lambda _: ["demo"]),
    "prune": AuditTrail([("demo", "instance.prune", "instance")], old_events),
    "users create": AuditTrail([("", "user.create", "user")], lambda _: [new_name()], PASSWORD + "\n"),
    "users disable": AuditTrail([("", "user.disable", "user")], lambda cli: [new_user(cli)]),
    "users enable": AuditTrail([("", "user.enable", "user")], lambda cli: done_to_user(cli, "disable")),
    "users promote": AuditTrail([("", "user.promote", "user")], lambda cli: [new_user(cli)]),
    "users demote": AuditTrail([("", "user.demote", "user")], lambda cli: done_to_user(cli, "promote")),
    "users password": AuditTrail([("", "user.password", "user")], lambda cli: [new_user(cli)], NEW + "\n"),
    "tokens create": AuditTrail([("", "token.mint", "token")], lambda _: ["ci"]),
    "tokens revoke": AuditTrail(
        [("", "token.revoke", "token")], lambda cli: [new_token(cli, "tokens", "create", "ci")]
    ),
    # A session creates the new token, and the earlier one is revoked.
    "login": AuditTrail(
        [
            ("", "session.open", "user"),
            ("", "token.mint", "token"),
            ("", "session.close", "user"),
            ("", "token.revoke", "token"),
        ],
        lambda _: ["--user", "boss"],
        PASSWORD + "\n",
    ),
}  # fmt: skip
#: Commands with tests of their own below, since they end the session.
ALONE = {"logout", "keys rotate"}
OF_PROCESSES = {name for name, entry in COMMANDS.items() if entry.section == PROCESSES}
#: Commands that change a file of their user only.
OF_FILE = {"profiles use", "profiles remove"}
#: Commands on the database of this machine; the others call the server.
ON_DATABASE = {"prune", "instances renew-epoch", "keys rotate", *(name for name in TABLE if name.startswith("users "))}
READING: dict[str, Callable[[CommandLine], list[str]]] = {
    "agents": lambda _: [],
    "instances": lambda _: [],
    "list": lambda _: ["demo"],
    "show": lambda cli: [cli.submit()],
    "watch": lambda cli: ["demo", "--task", new_failure(cli), "--json"],
    "schedule list": lambda _: ["demo"],
    "schedule slots": lambda cli: [new_schedule(cli)],
    "members list": lambda _: ["demo"],
    "front-end-tokens list": lambda _: ["demo"],
    "artifact": lambda _: ["00000000-0000-4000-8000-000000000000"],
    "policy show": lambda _: ["demo"],
    "keys status": lambda _: [],
    "users": lambda _: [],
    "tokens": lambda _: [],
    "whoami": lambda _: [],
    "profiles": lambda _: [],
    "audit list": lambda _: ["-i", "demo"],
    "audit verify": lambda _: ["--all"],
}


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A command line with required sign-in, as the superuser `boss`, who owns `demo`."""
    with pytest.MonkeyPatch.context() as patch:
        yield from open_guarded(tmp_path_factory.mktemp("cli"), patch)


@pytest.fixture
def own_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    yield from open_guarded(tmp_path, monkeypatch)


def open_guarded(directory: Path, patch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    for name, value in {"AUTH": "required", "PASSWORD_MEMORY_KIB": "8", "PASSWORD_ROUNDS": "1"}.items():
        patch.setenv(f"SWALLOWTAIL_{name}", value)
    patch.setenv("XDG_CONFIG_HOME", str(directory / "config"))
    # Environment variables do not decide who runs a command.
    patch.setenv("LOGNAME", "mallory")
    with open_command_line(directory, patch) as cli:
        assert cli.run("users", "create", "boss", "--superuser", stdin=PASSWORD + "\n").exit_code == 0
        assert cli.run("login", "--user", "boss", stdin=PASSWORD + "\n").exit_code == 0
        assert cli.run("members", "set", "demo", "boss", "owner", "--as-operator").exit_code == 0
        yield cli


def entries(cli: CommandLine) -> dict[tuple[str, int], AuditEntry]:
    with cli.runtime.db.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.scope, AuditEntry.number)).all()
    return {(row.scope, row.number): row for row in rows}


def run(cli: CommandLine, command: str, arguments: list[str], stdin: str | None = None) -> list[AuditEntry]:
    """Run a command, which must succeed; return the audit entries that it wrote."""
    before = entries(cli)
    result = cli.run(*command.split(), *arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return [entry for key, entry in entries(cli).items() if key not in before]


def test_every_command_is_in_the_table() -> None:
    assert set(paths(load_commands())) == set(TABLE) | set(READING) | ALONE | OF_FILE | OF_PROCESSES


@pytest.mark.parametrize("command", TABLE)
def test_an_entry_names_the_actor_the_action_and_the_origin(cli: CommandLine, command: str) -> None:
    trail = TABLE[command]
    origin = ("cli", WHERE) if command in ON_DATABASE else ("rest", "127.0.0.1")
    written = run(cli, command, trail.arguments(cli), trail.stdin)
    assert [(e.scope, e.action, e.object_type, e.actor_kind, e.actor_name, e.entrance, e.address) for e in written] == [
        (*mark, "user", "boss", *origin) for mark in trail.marks
    ]


def test_reading_writes_no_entry(cli: CommandLine) -> None:
    for command, arguments in READING.items():
        values = arguments(cli)
        before = entries(cli)
        cli.run(*command.split(), *values)
        assert entries(cli).keys() == before.keys(), command


def test_signing_out_writes_an_entry(own_desk: CommandLine) -> None:
    (trail,) = run(own_desk, "logout", [])
    assert (trail.action, trail.actor_name, trail.entrance, trail.address) == (
        "token.revoke",
        "boss",
        "rest",
        "127.0.0.1",
    )


def test_a_key_rotation_writes_an_entry(own_desk: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    own_desk.submit()
    monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", f"k1:{base64.b64encode(b'k' * 32).decode()}")
    (trail,) = run(own_desk, "keys rotate", [])
    assert (trail.scope, trail.action, trail.object_id, trail.actor_name) == ("", "keys.rotate", "k1", "boss")
    assert (trail.entrance, trail.address) == ("cli", WHERE)


@pytest.mark.parametrize(
    ("command", "arguments", "action"),
    [
        ("members set", ["demo", "boss", "admin"], "member.write"),
        ("users password", ["boss"], "user.password"),
        ("prune", ["-i", "demo", "--events", "0"], "instance.prune"),
        ("instances renew-epoch", ["--all"], "instance.renew_epoch"),
    ],
)
def test_an_entry_of_the_operator_names_the_account(
    own_desk: CommandLine, command: str, arguments: list[str], action: str
) -> None:
    own_desk.submit()
    own_desk.run("users", "create", "ann", stdin=PASSWORD + "\n")
    own_desk.run("members", "set", "demo", "ann", "owner")
    (trail,) = run(own_desk, command, [*arguments, "--as-operator"], NEW + "\n")
    assert (trail.action, trail.actor_kind, trail.actor_name) == (action, "open", f"operator {ACCOUNT}")
    assert (trail.entrance, trail.address) == ("cli", WHERE)


def test_without_required_sign_in_an_entry_on_the_database_names_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SWALLOWTAIL_AUTH": "open", "XDG_CONFIG_HOME": str(tmp_path), "LOGNAME": "mallory"}.items():
        monkeypatch.setenv(name, value)
    with open_command_line(tmp_path, monkeypatch) as cli:
        (trail,) = run(cli, "enqueue", ["echo", "-i", "demo", "-s", "message=hi"])
        (pruning,) = run(cli, "prune", ["-i", "demo", "--events", "0"])
    assert (trail.actor_kind, trail.actor_name, trail.address) == ("open", "anybody", "127.0.0.1")
    assert (pruning.actor_kind, pruning.actor_name, pruning.address) == ("open", f"operator {ACCOUNT}", WHERE)
