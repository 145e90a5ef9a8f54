"""The `swallowtail` command, also `python scripts/enqueue.py`: an entrance to the road, beside `web/api` and beat.

It talks to the database itself, through the same door as every entrance; docs/cli.md describes it.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

if not __package__:
    # Run as a file: its own directory is no place to import from, the repository is.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import typer

from swallowtail.app.core.logs.unlogged_output import shorten, take_errors
from swallowtail.scripts.cli.commands import (
    audit,
    encryption_keys,
    identity,
    instance_data,
    instances,
    maintenance,
    members,
    schedules,
    tasks,
    users,
    watch,
)
from swallowtail.scripts.cli.exit_codes import Commands, ExitCode, complain, drop_output

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Submit tasks to agents and watch them work.",
    epilog="Exit codes: 0 done (COMPLETED), 2 bad input, 3 FAILED, 4 CANCELLED, 5 EXPIRED, 6 not found, 7 conflict, "
    "8 unavailable, 9 not signed in, 10 not allowed, "
    "11 audit log not whole, 130 interrupted.",
)
app.command("enqueue")(tasks.enqueue)
app.command("watch")(watch.watch)
app.command("list")(tasks.show_tasks)
app.command("show")(tasks.show)
app.command("cancel")(tasks.cancel)
app.command("retry")(tasks.retry)
app.add_typer(schedules.schedules, name="schedule")
app.add_typer(members.people, name="members")
app.add_typer(members.front_ends, name="front-end-tokens")
app.command("agents")(instances.agents)
app.add_typer(instances.instances, name="instances")
instances.instances.command("renew-epoch")(maintenance.renew)
app.command("login")(identity.login)
app.command("logout")(identity.logout)
app.command("whoami")(identity.whoami)
app.add_typer(users.people, name="users")
app.add_typer(identity.tokens, name="tokens")
app.command("prune")(maintenance.prune_instance)
app.add_typer(encryption_keys.keys, name="keys")
app.add_typer(audit.audit, name="audit")
app.add_typer(instance_data.policy, name="policy")
app.command("artifact")(instance_data.artifact)
instances.instances.command("export")(instance_data.export)
instances.instances.command("delete")(instance_data.remove)


def main() -> None:
    """Run the command of this process's arguments."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character is no reason to stop.
        sys.stdout.reconfigure(errors="replace")
    take_errors()
    shorten(typer.BadParameter.__base__)
    try:
        try:
            app(prog_name="swallowtail")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        sys.exit(ExitCode.BROKEN_PIPE)
    except Exception as fault:
        complain(f"something unexpected went wrong: {type(fault).__name__}: {fault}")
        sys.exit(ExitCode.INTERNAL)


if __name__ == "__main__":
    main()
