"""Every command that changes something × what it leaves in the audit log: a command that is not in the table fails."""

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
import typer.main
from sqlalchemy import select

from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.scripts.enqueue import app
from tests.cli.desk import Desk, open_desk
from tests.cli.test_access_commands import paths
from tests.identity.bench import PASSWORD

ACCOUNT = pwd.getpwuid(os.getuid()).pw_name
WHERE = f"{ACCOUNT}@{socket.gethostname()}"[:64]
NEW = "staple after staple"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Left:
    """How a command is run, and what it leaves: the scope, action and type of object of each entry, in their order."""

    marks: list[tuple[str, str, str]]
    arguments: Callable[[Desk], list[str]] = lambda _: []
    given: str | None = None


def new_name() -> str:
    return f"n{next(_NUMBERS)}"


def new_user(desk: Desk) -> str:
    name = new_name()
    assert desk.call("users", "create", name, given=PASSWORD + "\n").exit_code == 0
    return name


def new_member(desk: Desk) -> str:
    name = new_user(desk)
    assert desk.call("members", "set", "demo", name, "viewer").exit_code == 0
    return name


def done_to_user(desk: Desk, *before: str) -> list[str]:
    name = new_user(desk)
    assert desk.call("users", *before, name).exit_code == 0
    return [name]


def new_failure(desk: Desk) -> str:
    task_id = desk.submit()
    desk.fail(task_id)
    return task_id


def new_schedule(desk: Desk, *, paused: bool = False) -> str:
    options = ("echo", "-i", "demo", "--every", "1h", "-s", "message=hi")
    (made,) = desk.lines("schedule", "add", new_name(), *options)
    if paused:
        desk.call("schedule", "pause", made["id"])
    return str(made["id"])


def new_token(desk: Desk, *command: str) -> str:
    (minted,) = desk.lines(*command)
    return str(minted["token"]["id"])


def old_events(desk: Desk) -> list[str]:
    desk.submit()
    return ["-i", "demo", "--events", "0"]


def new_instance(desk: Desk) -> str:
    (made,) = desk.lines("instances", "create", "Doomed", "--id", "doomed")
    return str(made["id"])


TABLE = {
    "instances create": Left([("fresh", "instance.create", "instance")], lambda _: ["Fresh", "--id", "fresh"]),
    "enqueue": Left([("demo", "task.submit", "task")], lambda _: ["echo", "-i", "demo", "-s", "message=hi"]),
    "cancel": Left([("demo", "task.cancel", "task")], lambda desk: [desk.submit()]),
    "retry": Left([("demo", "task.retry", "task")], lambda desk: [new_failure(desk)]),
    "schedule add": Left(
        [("demo", "schedule.write", "schedule")],
        lambda _: [new_name(), "echo", "-i", "demo", "--every", "1h", "-s", "message=hi"],
    ),
    "schedule pause": Left([("demo", "schedule.write", "schedule")], lambda desk: [new_schedule(desk)]),
    "schedule resume": Left([("demo", "schedule.write", "schedule")], lambda desk: [new_schedule(desk, paused=True)]),
    "schedule remove": Left([("demo", "schedule.write", "schedule")], lambda desk: [new_schedule(desk)]),
    "members set": Left([("demo", "member.write", "user")], lambda desk: ["demo", new_user(desk), "viewer"]),
    "members remove": Left([("demo", "member.write", "user")], lambda desk: ["demo", new_member(desk)]),
    "front-end-tokens mint": Left([("demo", "token.mint", "token")], lambda _: ["demo", "page"]),
    "front-end-tokens revoke": Left(
        [("demo", "token.revoke", "token")],
        lambda desk: ["demo", new_token(desk, "front-end-tokens", "mint", "demo", "page")],
    ),
    "policy set": Left([("demo", "policy.write", "policy")], lambda _: ["demo", "--secret-field", "iban"]),
    "instances export": Left([("demo", "instance.export", "instance")], lambda _: ["demo", "-o", "copy.jsonl"]),
    "instances delete": Left(
        [("doomed", "instance.delete", "instance")] * 2, lambda desk: [new_instance(desk), "--confirm", "doomed"]
    ),
    "instances renew-epoch": Left([("demo", "instance.renew_epoch", "instance")], lambda _: ["demo"]),
    "prune": Left([("demo", "instance.prune", "instance")], old_events),
    "users create": Left([("", "user.create", "user")], lambda _: [new_name()], PASSWORD + "\n"),
    "users disable": Left([("", "user.disable", "user")], lambda desk: [new_user(desk)]),
    "users enable": Left([("", "user.enable", "user")], lambda desk: done_to_user(desk, "disable")),
    "users promote": Left([("", "user.promote", "user")], lambda desk: [new_user(desk)]),
    "users demote": Left([("", "user.demote", "user")], lambda desk: done_to_user(desk, "promote")),
    "users password": Left([("", "user.password", "user")], lambda desk: [new_user(desk)], NEW + "\n"),
    "tokens create": Left([("", "token.mint", "token")], lambda _: ["ci"]),
    "tokens revoke": Left(
        [("", "token.revoke", "token")], lambda desk: [new_token(desk, "tokens", "create", "ci")]
    ),
    # A token is kept for the commands to come, and the one that was kept is given up.
    "login": Left([("", "token.mint", "token"), ("", "token.revoke", "token")], lambda _: ["boss"], PASSWORD + "\n"),
}  # fmt: skip
#: What is proven below, each by itself: after it the desk is of no more use.
ALONE = {"logout", "keys rotate"}
READING: dict[str, Callable[[Desk], list[str]]] = {
    "agents": lambda _: [],
    "instances": lambda _: [],
    "list": lambda _: ["demo"],
    "show": lambda desk: [desk.submit()],
    "watch": lambda desk: ["demo", "--task", new_failure(desk), "--json"],
    "schedule list": lambda _: ["demo"],
    "schedule slots": lambda desk: [new_schedule(desk)],
    "members list": lambda _: ["demo"],
    "front-end-tokens list": lambda _: ["demo"],
    "artifact": lambda _: ["00000000-0000-4000-8000-000000000000"],
    "policy show": lambda _: ["demo"],
    "keys status": lambda _: [],
    "users": lambda _: [],
    "tokens": lambda _: [],
    "whoami": lambda _: [],
    "audit list": lambda _: ["-i", "demo"],
    "audit verify": lambda _: ["--all"],
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk where one has to sign in, with the superuser `boss` signed in, who is the owner of `demo`."""
    with pytest.MonkeyPatch.context() as patch:
        yield from open_guarded(tmp_path_factory.mktemp("desk"), patch)


@pytest.fixture
def own_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    yield from open_guarded(tmp_path, monkeypatch)


def open_guarded(directory: Path, patch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name, value in {"AUTH": "required", "PASSWORD_MEMORY_KIB": "8", "PASSWORD_ROUNDS": "1"}.items():
        patch.setenv(f"SWALLOWTAIL_{name}", value)
    patch.setenv("XDG_CONFIG_HOME", str(directory / "config"))
    # What the environment says about who runs a command is not believed.
    patch.setenv("LOGNAME", "mallory")
    with open_desk(directory, patch) as desk:
        assert desk.call("users", "create", "boss", "--superuser", given=PASSWORD + "\n").exit_code == 0
        assert desk.call("login", "boss", given=PASSWORD + "\n").exit_code == 0
        assert desk.call("members", "set", "demo", "boss", "owner", "--as-operator").exit_code == 0
        yield desk


def entries(desk: Desk) -> dict[tuple[str, int], AuditEntry]:
    with desk.runtime.db.read() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.scope, AuditEntry.number)).all()
    return {(row.scope, row.number): row for row in rows}


def run(desk: Desk, command: str, arguments: list[str], given: str | None = None) -> list[AuditEntry]:
    """Run a command that must do well; the entries that it left."""
    before = entries(desk)
    result = desk.call(*command.split(), *arguments, given=given)
    assert result.exit_code == 0, result.output
    return [entry for key, entry in entries(desk).items() if key not in before]


def test_every_command_says_what_it_leaves_in_the_log() -> None:
    assert set(paths(typer.main.get_command(app))) == set(TABLE) | set(READING) | ALONE


@pytest.mark.parametrize("command", TABLE)
def test_what_is_done_is_written_with_who_what_and_from_where(desk: Desk, command: str) -> None:
    left = TABLE[command]
    found = run(desk, command, left.arguments(desk), left.given)
    assert [(e.scope, e.action, e.object_type, e.actor_kind, e.actor_name, e.entrance, e.address) for e in found] == [
        (*mark, "user", "boss", "cli", WHERE) for mark in left.marks
    ]


def test_reading_leaves_nothing(desk: Desk) -> None:
    for command, arguments in READING.items():
        chosen = arguments(desk)
        before = entries(desk)
        desk.call(*command.split(), *chosen)
        assert entries(desk).keys() == before.keys(), command


def test_signing_out_is_written_down(own_desk: Desk) -> None:
    (left,) = run(own_desk, "logout", [])
    assert (left.action, left.actor_name, left.entrance, left.address) == ("token.revoke", "boss", "cli", WHERE)


def test_a_change_of_keys_is_written_down(own_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    own_desk.submit()
    monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", f"k1:{base64.b64encode(b'k' * 32).decode()}")
    (left,) = run(own_desk, "keys rotate", [])
    assert (left.scope, left.action, left.object_id, left.actor_name) == ("", "keys.rotate", "k1", "boss")
    assert (left.entrance, left.address) == ("cli", WHERE)


@pytest.mark.parametrize(
    ("command", "arguments", "action"),
    [
        ("members set", ["demo", "boss", "admin"], "member.write"),
        ("users password", ["boss"], "user.password"),
        ("prune", ["-i", "demo", "--events", "0"], "instance.prune"),
        ("instances renew-epoch", ["--all"], "instance.renew_epoch"),
    ],
)
def test_the_operator_of_the_machine_is_written_down_by_the_name_of_their_account(
    own_desk: Desk, command: str, arguments: list[str], action: str
) -> None:
    own_desk.submit()
    own_desk.call("users", "create", "ann", given=PASSWORD + "\n")
    own_desk.call("members", "set", "demo", "ann", "owner")
    (left,) = run(own_desk, command, [*arguments, "--as-operator"], NEW + "\n")
    assert (left.action, left.actor_kind, left.actor_name) == (action, "open", f"operator {ACCOUNT}")
    assert (left.entrance, left.address) == ("cli", WHERE)


def test_where_nobody_has_to_sign_in_it_is_the_account_that_did_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SWALLOWTAIL_AUTH": "open", "XDG_CONFIG_HOME": str(tmp_path), "LOGNAME": "mallory"}.items():
        monkeypatch.setenv(name, value)
    with open_desk(tmp_path, monkeypatch) as desk:
        (left,) = run(desk, "enqueue", ["echo", "-i", "demo", "-s", "message=hi"])
    assert (left.actor_kind, left.actor_name, left.address) == ("open", f"operator {ACCOUNT}", WHERE)
