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

from app.core.raw_lines import shorten, take_errors
from scripts.cli import audit, identity, keeping, keys, members, people, places, schedules, tasks, upkeep, watch
from scripts.cli.exits import Commands, ExitCode, complain, drop_output

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
app.command("agents")(places.agents)
app.add_typer(places.instances, name="instances")
places.instances.command("renew-epoch")(upkeep.renew)
app.command("login")(identity.login)
app.command("logout")(identity.logout)
app.command("whoami")(identity.whoami)
app.add_typer(people.people, name="users")
app.add_typer(identity.tokens, name="tokens")
app.command("prune")(upkeep.prune_instance)
app.add_typer(keys.keys, name="keys")
app.add_typer(audit.audit, name="audit")
app.add_typer(keeping.policy, name="policy")
app.command("artifact")(keeping.artifact)
places.instances.command("export")(keeping.export)
places.instances.command("delete")(keeping.remove)


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
