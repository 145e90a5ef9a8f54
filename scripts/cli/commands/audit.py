"""The commands about the audit log: `swallowtail audit list` and `verify`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from swallowtail.app.core.audit.reader import Anchor, Verdict, Wanted, list_scopes, verify
from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.schemas.identities import AuditEntryView
from swallowtail.app.core.security.permissions import Act, require, require_outside
from swallowtail.app.core.validation import check_instance_id
from swallowtail.scripts.cli.exit_codes import Commands, ExitCode
from swallowtail.scripts.cli.open_runtime import open_domain
from swallowtail.scripts.cli.options import LARGEST, AsJson
from swallowtail.scripts.cli.printing import print_audit, print_json, readable, tell

audit = typer.Typer(cls=Commands, no_args_is_help=True, help="Read the audit log, or find out whether it is whole.")

Instance = Annotated[
    str | None, typer.Option("--instance", "-i", help="Instance whose log it is; without it, what is in none.")
]


@audit.command("list")
def show_entries(
    instance: Instance = None,
    action: Annotated[str | None, typer.Option(help="Only this kind of thing, such as task.cancel.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what was done by this name or id.")] = None,
    object_id: Annotated[str | None, typer.Option("--object", help="Only what was done to this id.")] = None,
    since: Annotated[str | None, typer.Option(metavar="MOMENT", help="Such as 2030-01-31T08:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(metavar="MOMENT", help="Up to this moment, without it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most entries to list.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List entries, the latest first."""
    wanted = Wanted(action, actor, object_id, _parse_moment(since, "--since"), _parse_moment(until, "--until"))
    found: list[AuditEntryView] = []
    cursor = None
    scope = _scope(instance)
    with open_domain() as runtime, runtime.db.read() as session:
        sight = Sight(session, runtime.caller.actor)
        while len(found) < limit:
            size = min(500, limit - len(found))
            read = sight.system_audit if scope == SYSTEM_SCOPE else partial(sight.audit, scope)
            page, cursor = read(wanted, limit=size, cursor=cursor)
            found += page
            if cursor is None:
                break
    if as_json:
        for entry in found:
            print_json(entry)
    else:
        print_audit(found)


@audit.command("verify")
def check(
    instance: Instance = None,
    every: Annotated[bool, typer.Option("--all", help="Every log there is.")] = False,
    after: Annotated[int, typer.Option(min=0, max=LARGEST, help="Only the entries after this number.")] = 0,
    anchor: Annotated[
        str | None, typer.Option(metavar="NUMBER:HASH", help="An entry that must be there; verify printed it once.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find out whether entries were changed, removed, put in or moved. Ends with 11 if so.

    Keep what it prints somewhere else: given back as --anchor, it shows whether the end of the log was cut off since.
    """
    if every and (instance is not None or after or anchor is not None):
        raise InvalidInput("--all goes without --instance, --after and --anchor", field="--all")
    known = None if anchor is None else Anchor.parse(anchor)
    with open_domain() as runtime, runtime.db.read() as session:
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


def _print(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(verdict), "whole": verdict.is_whole})
        return
    name = readable(verdict.scope) or "(no instance)"
    print(f"{verdict.number}:{verdict.hash}")
    tell(f"{name}: {verdict.count} entries, {'whole' if verdict.is_whole else 'BROKEN'}")
    for fault in verdict.faults + verdict.notes:
        tell(f"{name}: {fault}")


def _scope(instance: str | None) -> str:
    return SYSTEM_SCOPE if instance is None else check_instance_id(instance, "--instance")


def _parse_moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InvalidInput("give a moment such as 2030-01-31T08:00:00Z", field=option) from None
