"""The `swallowtail` command: one table of its commands, and its entry point. docs/cli.md describes it."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from swallowtail.app.core.logs.unlogged_output import capture_errors, shorten
from swallowtail.scripts.cli.exit_codes import ExitCode, discard_output, print_error
from swallowtail.scripts.cli.lazy_commands import CommandEntry, LazyGroup
from swallowtail.version import VERSION

TASKS, ACCOUNT, PROCESSES, ADMINISTRATION = "Tasks", "Your account", "Deployment and processes", "Administration"

#: Every command: the module below `swallowtail.scripts`, its function or Typer object, the line in the list of
#: commands, the heading, and the extra of the distribution that the command needs. A module is imported when its
#: command runs.
COMMANDS = {
    "enqueue": CommandEntry("cli.commands.tasks", "enqueue", "Submit a task.", TASKS, "server"),
    "watch": CommandEntry("cli.commands.watch", "watch", "Show the events of an instance live.", TASKS, "server"),
    "list": CommandEntry("cli.commands.tasks", "show_tasks", "List the tasks of an instance.", TASKS, "server"),
    "show": CommandEntry("cli.commands.tasks", "show", "Show a task with its steps and result.", TASKS, "server"),
    "cancel": CommandEntry("cli.commands.tasks", "cancel", "Cancel a task.", TASKS, "server"),
    "retry": CommandEntry("cli.commands.tasks", "retry", "Start another attempt of an ended task.", TASKS, "server"),
    "agents": CommandEntry("cli.commands.instances", "agents", "List the agents that run tasks.", TASKS, "server"),
    "schedule": CommandEntry(
        "cli.commands.schedules", "commands", "Submit tasks repeatedly or later.", TASKS, "server"
    ),
    "artifact": CommandEntry("cli.commands.instance_data", "artifact", "Write a large output.", TASKS, "server"),
    "login": CommandEntry("cli.commands.identity", "login", "Sign in.", ACCOUNT, "server"),
    "logout": CommandEntry("cli.commands.identity", "logout", "Sign out.", ACCOUNT, "server"),
    "whoami": CommandEntry("cli.commands.identity", "whoami", "Show who you are signed in as.", ACCOUNT, "server"),
    "tokens": CommandEntry("cli.commands.identity", "token_commands", "Your personal tokens.", ACCOUNT, "server"),
    "up": CommandEntry("processes.commands", "up", "Run everything on this machine.", PROCESSES, "server"),
    "web": CommandEntry("processes.commands", "web", "Serve pages, REST API and Socket.IO.", PROCESSES, "server"),
    "worker": CommandEntry(
        "processes.commands", "worker", "Run the tasks of agents.", PROCESSES, "server", passes_options=True
    ),
    "beat": CommandEntry(
        "processes.commands", "beat", "Submit the tasks of schedules.", PROCESSES, "server", passes_options=True
    ),
    "release": CommandEntry("processes.commands", "release", "Prepare the database.", PROCESSES, "server"),
    "redis": CommandEntry("processes.commands", "redis", "Run the embedded Redis.", PROCESSES, "server"),
    "instances": CommandEntry(
        "cli.commands.instances", "commands", "List, create, export or delete instances.", ADMINISTRATION, "server"
    ),
    "members": CommandEntry(
        "cli.commands.members", "commands", "The members of an instance.", ADMINISTRATION, "server"
    ),
    "front-end-tokens": CommandEntry(
        "cli.commands.members", "token_commands", "API tokens for your own web pages.", ADMINISTRATION, "server"
    ),
    "policy": CommandEntry(
        "cli.commands.instance_data",
        "policy_commands",
        "Retention and redaction of an instance.",
        ADMINISTRATION,
        "server",
    ),
    "audit": CommandEntry("cli.commands.audit", "commands", "Who did what.", ADMINISTRATION, "server"),
    "users": CommandEntry("cli.commands.users", "commands", "Users and their passwords.", ADMINISTRATION, "server"),
    "keys": CommandEntry(
        "cli.commands.encryption_keys", "commands", "The keys that encrypt payloads.", ADMINISTRATION, "server"
    ),
    "doctor": CommandEntry(
        "doctor.command", "doctor", "Check the deployment, and say how to mend it.", PROCESSES, "server"
    ),
    "prune": CommandEntry(
        "cli.commands.maintenance", "prune_instance", "Delete old events and ended tasks.", ADMINISTRATION, "server"
    ),
}


class RootGroup(LazyGroup):
    """The group of all commands."""

    table = COMMANDS


app = typer.Typer(
    cls=RootGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Submit tasks to agents, watch them run, and manage a deployment.",
    epilog="Exit codes: 0 done (COMPLETED), 2 bad input, 3 FAILED, 4 CANCELLED, 5 EXPIRED, 6 not found, 7 conflict, "
    "8 unavailable, 9 not signed in, 10 not allowed, 11 audit log incomplete or changed, 130 interrupted.",
)


def _show_version(requested: bool) -> None:
    if requested:
        print(f"swallowtail {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Hold the options that precede a command."""


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
