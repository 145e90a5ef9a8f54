"""The `swallowtail` command, also `python scripts/enqueue.py`: submits tasks and administers a deployment.

It uses the database directly and the same services as the REST API; docs/cli.md describes it.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

if not __package__:
    # Run as a file: import from the repository instead of this directory.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import typer

from swallowtail.app.core.logs.unlogged_output import capture_errors, shorten
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
from swallowtail.scripts.cli.exit_codes import CommandGroup, ExitCode, discard_output, print_error

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Submit tasks to agents, watch them run, and manage a deployment.",
    epilog="Exit codes: 0 done (COMPLETED), 2 bad input, 3 FAILED, 4 CANCELLED, 5 EXPIRED, 6 not found, 7 conflict, "
    "8 unavailable, 9 not signed in, 10 not allowed, 11 audit log incomplete or changed, 130 interrupted.",
)
app.command("enqueue")(tasks.enqueue)
app.command("watch")(watch.watch)
app.command("list")(tasks.show_tasks)
app.command("show")(tasks.show)
app.command("cancel")(tasks.cancel)
app.command("retry")(tasks.retry)
app.add_typer(schedules.commands, name="schedule")
app.add_typer(members.commands, name="members")
app.add_typer(members.token_commands, name="front-end-tokens")
app.command("agents")(instances.agents)
app.add_typer(instances.commands, name="instances")
instances.commands.command("renew-epoch")(maintenance.renew)
app.command("login")(identity.login)
app.command("logout")(identity.logout)
app.command("whoami")(identity.whoami)
app.add_typer(users.commands, name="users")
app.add_typer(identity.token_commands, name="tokens")
app.command("prune")(maintenance.prune_instance)
app.add_typer(encryption_keys.commands, name="keys")
app.add_typer(audit.commands, name="audit")
app.add_typer(instance_data.policy_commands, name="policy")
app.command("artifact")(instance_data.artifact)
instances.commands.command("export")(instance_data.export)
instances.commands.command("delete")(instance_data.remove)


def main() -> None:
    """Run the command with the arguments of this process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal cannot show must not end the command.
        sys.stdout.reconfigure(errors="replace")
    capture_errors()
    shorten(typer.BadParameter.__base__)
    try:
        try:
            app(prog_name="swallowtail")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        sys.exit(ExitCode.BROKEN_PIPE)
    except Exception as error:
        print_error(f"unexpected error: {type(error).__name__}: {error}")
        sys.exit(ExitCode.INTERNAL)


if __name__ == "__main__":
    main()
