"""Commands for the audit log: `swallowtail audit list` and `verify`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from swallowtail.app.core.audit.reader import ChainAnchor, ChainReport, list_scopes, verify
from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.schemas.identities import AuditFilter
from swallowtail.app.core.security.permissions import require, require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.validation import check_instance_id
from swallowtail.scripts.cli.exit_codes import CommandGroup, ExitCode
from swallowtail.scripts.cli.open_runtime import open_runtime
from swallowtail.scripts.cli.options import AsJson, check_count
from swallowtail.scripts.cli.printing import count, print_audit, print_json, print_list, print_note, readable
from swallowtail.scripts.cli.reads import open_reads, read_pages

commands = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Read the audit log and verify its integrity.")

Instance = Annotated[
    str | None,
    typer.Option(
        "--instance", "-i", metavar="ID", help="Id of the instance; without it, entries that belong to no instance."
    ),
]


@commands.command("list")
def show_entries(
    instance: Instance = None,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="Only this action, such as task.cancel.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="USER", help="Only actions of this user, by name or id.")] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", metavar="ID", help="Only actions on the object with this id.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only entries from this time on, such as 2030-01-31T08:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only entries before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="NUMBER", help="Maximum number of entries.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List entries of the audit log, latest first."""
    criteria = AuditFilter(
        action=action,
        actor=actor,
        object_id=object_id,
        since=_parse_time(since, "--since"),
        until=_parse_time(until, "--until"),
    )
    scope = _scope(instance)
    with open_reads() as reads:
        print_list(read_pages(partial(reads.audit, scope, criteria), limit), as_json, print_audit)


@commands.command("verify")
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
    """Verify that the audit log is unchanged and complete.

    Exits with 11 if entries were changed, removed, inserted or reordered. Store the printed NUMBER:HASH elsewhere:
    passed later as --anchor, it shows whether the end of the log was removed.
    """
    if every and (instance is not None or after or anchor is not None):
        raise InvalidInput("--all cannot be combined with --instance, --after or --anchor", field="--all")
    known = None if anchor is None else ChainAnchor.parse(anchor)
    with open_runtime() as runtime, runtime.db.read() as session:
        if instance is None:
            require_outside(runtime.caller.actor, Act.READ_SYSTEM_AUDIT)
        else:
            require(session, runtime.caller.actor, Act.READ_AUDIT, _scope(instance))
        scopes = list_scopes(session) if every else [_scope(instance)]
        verdicts = [verify(session, scope, after=after, anchor=known) for scope in scopes]
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


def _scope(instance: str | None) -> str:
    return SYSTEM_SCOPE if instance is None else check_instance_id(instance, "--instance")


def _parse_time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InvalidInput("must be a time such as 2030-01-31T08:00:00Z", field=option) from None
