"""Commands for the audit log: `swallowtail audit list` and `verify`."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.scripts.cli.exit_codes import CommandGroup, ExitCode
from swallowtail.scripts.cli.options import AsJson, Limit, Since, Until, check_count
from swallowtail.scripts.cli.output.printing import count, print_json, print_list, print_note, readable
from swallowtail.scripts.cli.output.tables import print_audit
from swallowtail.scripts.cli.remote.open_client import api_path, open_client
from swallowtail.scripts.cli.remote.server_options import local
from swallowtail.scripts.cli.task_input import parse_past

if TYPE_CHECKING:
    from swallowtail.app.core.audit.reader import ChainReport

commands = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Read the audit log and verify its integrity.")

Instance = Annotated[
    str | None,
    typer.Option(
        "--instance",
        "-i",
        metavar="INSTANCE",
        help="Id of the instance; without it, entries of no instance.",
    ),
]


@commands.command("list")
def show_entries(
    instance: Instance = None,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="Only this action, such as task.cancel.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="USER", help="Only actions of this user, by name or id.")] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", metavar="OBJECT", help="Only actions on the object with this id.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List entries of the audit log, latest first."""
    criteria = {
        "action": action,
        "actor": actor,
        "object_id": object_id,
        "since": parse_past(since, "--since"),
        "until": parse_past(until, "--until"),
    }
    path = api_path("audit") if instance is None else api_path("instances", instance, "audit")
    with open_client() as client:
        entries = client.pages(path, {name: value for name, value in criteria.items() if value is not None})
        print_list(list(islice(entries, limit)), as_json, print_audit)


@commands.command("verify")
@local
def check(
    instance: Instance = None,
    every: Annotated[
        bool, typer.Option("--all", help="Verify the logs of all instances and of the deployment.")
    ] = False,
    after: Annotated[
        int, typer.Option(metavar="NUMBER", help="Only verify entries after this number.", callback=check_count)
    ] = 0,
    anchor: Annotated[
        str | None,
        typer.Option(metavar="NUMBER:HASH", help="An entry that must exist, as printed by an earlier verify."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify on the database that the audit log is unchanged and complete.

    Exits with 11 if entries were changed, removed, inserted or reordered. Store the printed NUMBER:HASH elsewhere:
    passed later as --anchor, it shows whether the end of the log was removed.
    """
    if every and (instance is not None or after or anchor is not None):
        raise InvalidInput("--all cannot be combined with --instance, --after or --anchor", field="--all")
    verdicts = _verify(instance, every=every, after=after, anchor=anchor)
    for verdict in verdicts:
        _print(verdict, as_json)
    if not all(verdict.is_whole for verdict in verdicts):
        raise typer.Exit(ExitCode.BROKEN_CHAIN)


def _print(verdict: ChainReport, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(verdict), "whole": verdict.is_whole})
        return
    name = readable(verdict.scope) or "(no instance)"
    print(f"{verdict.number}:{verdict.hash}")
    state = "complete and unchanged" if verdict.is_whole else "BROKEN"
    print_note(f"{name}: {count(verdict.count, 'entry', 'entries')}, {state}")
    for fault in verdict.faults + verdict.notes:
        print_note(f"{name}: {fault}")


def _verify(instance: str | None, *, every: bool, after: int, anchor: str | None) -> list[ChainReport]:
    # Imported here, as in every command on the database: `--help` must not take a second.
    from swallowtail.app.core.audit.reader import ChainAnchor, list_scopes, verify
    from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
    from swallowtail.app.core.security.permissions import require, require_outside
    from swallowtail.app.core.security.roles import Act
    from swallowtail.app.core.validation import check_instance_id
    from swallowtail.scripts.cli.open_runtime import open_runtime

    known = None if anchor is None else ChainAnchor.parse(anchor)
    scope = SYSTEM_SCOPE if instance is None else check_instance_id(instance, "--instance")
    with open_runtime() as runtime, runtime.db.read() as session:
        if instance is None:
            require_outside(runtime.caller.actor, Act.READ_SYSTEM_AUDIT)
        else:
            require(session, runtime.caller.actor, Act.READ_AUDIT, scope)
        scopes = list_scopes(session) if every else [scope]
        return [verify(session, each, after=after, anchor=known) for each in scopes]
