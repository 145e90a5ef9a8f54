"""Who may run which command: a table of all commands and roles. A command that is not in the table fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from swallowtail.app.core.security.actors import Caller
from swallowtail.scripts.cli import open_runtime
from swallowtail.scripts.cli.main import COMMANDS, PROCESSES, app
from swallowtail.scripts.cli.remote import open_client, waiting
from tests.cli.command_line import load_commands
from tests.web.callers import CallersApp

WHO = ("nobody", "stranger", "viewer", "operator", "admin", "owner", "superuser")
#: 9: not signed in; 6: not found; 10: not allowed.
KNOWN = "9 0 0 0 0 0 0"
READERS = "9 6 0 0 0 0 6"
OPERATORS = "9 6 10 0 0 0 6"
ADMINS = "9 6 10 10 0 0 6"
OWNERS = "9 6 10 10 10 0 6"
SUPERUSERS = "9 10 10 10 10 10 0"


@dataclass(frozen=True, slots=True)
class Row:
    """The arguments of a command, and the exit codes that each of `WHO` gets; `done` is the code of success."""

    codes: str
    arguments: Callable[[CallersApp], list[str]]
    done: int = 0


TABLE = {
    "agents": Row(KNOWN, lambda _: []),
    "instances": Row(KNOWN, lambda _: []),
    "instances create": Row(KNOWN, lambda _: ["New"]),
    "enqueue": Row(OPERATORS, lambda _: ["brief", "--instance", "acme", "--set", "text=Hi"]),
    "list": Row(READERS, lambda _: ["acme"]),
    "show": Row(READERS, lambda domain: [domain.task_id]),
    # It follows a task that has already failed.
    "watch": Row(READERS, lambda domain: ["acme", "--task", domain.new_failure(), "--json"], 3),
    "cancel": Row(OPERATORS, lambda domain: [domain.new_task()]),
    "retry": Row(OPERATORS, lambda domain: [domain.new_failure()]),
    "schedule add": Row(
        OPERATORS,
        lambda domain: [domain.new_task(), "brief", "--instance", "acme", "--every", "1h", "--set", "text=Hi"],
    ),
    "schedule list": Row(READERS, lambda _: ["acme"]),
    "schedule slots": Row(READERS, lambda domain: [domain.new_schedule()]),
    "schedule pause": Row(OPERATORS, lambda domain: [domain.new_schedule()]),
    "schedule resume": Row(OPERATORS, lambda domain: [domain.new_schedule()]),
    "schedule remove": Row(OPERATORS, lambda domain: [domain.new_schedule()]),
    "members list": Row(ADMINS, lambda _: ["acme"]),
    "members set": Row(ADMINS, lambda domain: ["acme", domain.new_user(), "viewer"]),
    "members remove": Row(ADMINS, lambda domain: ["acme", domain.new_member()]),
    "front-end-tokens list": Row(ADMINS, lambda _: ["acme"]),
    "front-end-tokens create": Row(ADMINS, lambda _: ["acme", "page"]),
    "front-end-tokens mint": Row(ADMINS, lambda _: ["acme", "page"]),
    "front-end-tokens revoke": Row(ADMINS, lambda domain: ["acme", domain.new_token()]),
    "artifact": Row(READERS, lambda domain: [domain.new_artifact()]),
    "policy show": Row(ADMINS, lambda _: ["acme"]),
    "policy set": Row(ADMINS, lambda _: ["acme", "--secret-field", "iban"]),
    "instances export": Row(OWNERS, lambda _: ["acme"]),
    # Callers with permission learn that this is not the id of the instance.
    "instances delete": Row(OWNERS, lambda _: ["acme", "--confirm", "other"], 2),
    # Callers with permission learn that the policy keeps everything.
    "prune": Row(OWNERS, lambda _: ["-i", "acme"], 2),
    "instances renew-epoch": Row(OWNERS, lambda _: ["acme"]),
    "keys status": Row(SUPERUSERS, lambda _: []),
    # Callers with permission learn that no key is configured.
    "keys rotate": Row(SUPERUSERS, lambda _: [], 2),
    "users": Row(SUPERUSERS, lambda _: []),
    "users disable": Row(SUPERUSERS, lambda domain: [domain.new_user()]),
    "users enable": Row(SUPERUSERS, lambda domain: [domain.new_user()]),
    "users promote": Row(SUPERUSERS, lambda domain: [domain.new_user()]),
    "users demote": Row(SUPERUSERS, lambda domain: [domain.new_user()]),
}
#: Commands about the user or no instance; other tests check who may run them.
OF_NO_INSTANCE = {
    "login", "logout", "whoami", "tokens", "tokens create", "tokens revoke", "users create", "users password",
    "audit list", "audit verify", "profiles", "profiles use", "profiles remove",
}  # fmt: skip
#: Commands that run processes: they ask no one who calls.
OF_PROCESSES = {name for name, entry in COMMANDS.items() if entry.section == PROCESSES}


@pytest.fixture(scope="module")
def callers_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallersApp]:
    with pytest.MonkeyPatch.context() as patch:
        callers_app = CallersApp(Path(tmp_path_factory.mktemp("callers_app")), patch)
        patch.setattr(waiting, "SENT_WITHIN", 0.0)
        yield callers_app
        callers_app.web_app.close()


def paths(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    if path and (not inner or command.invoke_without_command):
        yield " ".join(path)
    for name, each in inner.items():
        yield from paths(each, (*path, name))


def run(callers_app: CallersApp, who: str, command: str, *more: str) -> int:
    """Run a command as a role, with the arguments of the table or others; return its exit code."""

    callers_app.caller = callers_app.actors[who]
    runtime = callers_app.rt.by(Caller(callers_app.caller, "cli"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_runtime, "open_runtime", partial(nullcontext, runtime))
        patch.setattr(open_client, "transport", httpx2.WSGITransport(app=callers_app.web_app.app.wsgi_app))
        arguments = [*command.split(), *(more or TABLE[command].arguments(callers_app))]
        return int(CliRunner().invoke(app, arguments).exit_code)


def test_every_command_is_in_the_table_and_nothing_else() -> None:
    assert set(paths(load_commands())) == set(TABLE) | OF_NO_INSTANCE | OF_PROCESSES


@pytest.mark.parametrize("command", TABLE)
def test_each_role_gets_its_exit_code(callers_app: CallersApp, command: str) -> None:
    row = TABLE[command]
    expected = [row.done if code == "0" else int(code) for code in row.codes.split()]
    actual = [run(callers_app, who, command) for who in WHO]
    assert dict(zip(WHO, actual, strict=True)) == dict(zip(WHO, expected, strict=True))


@pytest.mark.parametrize(
    ("command", "arguments", "codes"),
    [
        ("instances renew-epoch", ["--all"], SUPERUSERS),
        ("prune", ["-i", "acme", "--events", "1000000"], OWNERS),
        ("prune", ["-i", "acme", "--events", "1000000", "--dry-run"], OWNERS),
    ],
)
def test_global_commands_need_a_superuser_and_destructive_ones_an_owner(
    callers_app: CallersApp, command: str, arguments: list[str], codes: str
) -> None:
    actual = [run(callers_app, who, command, *arguments) for who in WHO]
    assert actual == [int(code) for code in codes.split()]
