"""The `swallowtail` command: one table of its commands, and its entry point. docs/cli.md describes it."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Annotated

if os.path.basename(sys.argv[0]) == "swallowtail" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # During the imports, Ctrl-C ends the command without a traceback; `main` undoes it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# isort: split

import typer

from swallowtail.scripts.cli.exit_codes import ExitCode, discard_output, print_error
from swallowtail.scripts.cli.lazy_commands import CommandEntry, LazyGroup
from swallowtail.scripts.cli.remote import server_address
from swallowtail.version import VERSION

TASKS, ACCOUNT, ADMIN = "Tasks", "Servers and your account", "Administration"
PROCESSES, DATABASE = "Deployment and processes", "Administration on the database of this machine"

#: Every command: the module below `swallowtail.scripts`, its function or Typer object, the line in the list of
#: commands, the heading, and the extra of the distribution that the command needs. A module is imported when its
#: command runs.
COMMANDS = {
    "enqueue": CommandEntry("cli.commands.tasks", "enqueue", "Submit a task.", TASKS),
    "watch": CommandEntry("cli.commands.watch", "watch", "Show the events of an instance live.", TASKS),
    "list": CommandEntry("cli.commands.tasks", "show_tasks", "List the tasks of an instance.", TASKS),
    "show": CommandEntry("cli.commands.tasks", "show", "Show a task with its steps and result.", TASKS),
    "cancel": CommandEntry("cli.commands.changes", "cancel", "Cancel tasks.", TASKS),
    "retry": CommandEntry("cli.commands.changes", "retry", "Start another attempt of ended tasks.", TASKS),
    "agents": CommandEntry("cli.commands.instances", "agents", "List agents, or show one with its input.", TASKS),
    "schedule": CommandEntry("cli.commands.schedules", "commands", "Submit tasks repeatedly or later.", TASKS),
    "artifact": CommandEntry("cli.commands.instance_data", "show_artifact", "Write a large output.", TASKS),
    "login": CommandEntry("cli.commands.identity", "login", "Sign in to a server.", ACCOUNT),
    "logout": CommandEntry("cli.commands.identity", "logout", "Sign out.", ACCOUNT),
    "whoami": CommandEntry("cli.commands.identity", "whoami", "Show who you are, and at which server.", ACCOUNT),
    "profiles": CommandEntry("cli.commands.identity", "profile_commands", "Servers that you signed in to.", ACCOUNT),
    "tokens": CommandEntry("cli.commands.tokens", "commands", "Your personal tokens.", ACCOUNT),
    "init": CommandEntry("processes.new_project", "init", "Create a project with one agent.", PROCESSES),
    "up": CommandEntry("processes.commands", "up", "Run everything on this machine.", PROCESSES, "server"),
    "dev": CommandEntry(
        "processes.commands", "dev", "Run everything, with agents loaded again when they change.", PROCESSES, "server"
    ),
    "web": CommandEntry("processes.commands", "web", "Serve pages, REST API and Socket.IO.", PROCESSES, "server"),
    "worker": CommandEntry(
        "processes.commands", "worker", "Run the tasks of agents.", PROCESSES, "server", passes_options=True
    ),
    "beat": CommandEntry(
        "processes.commands", "beat", "Submit the tasks of schedules.", PROCESSES, "server", passes_options=True
    ),
    "release": CommandEntry("processes.commands", "release", "Prepare the database.", PROCESSES, "server"),
    "redis": CommandEntry("processes.commands", "redis", "Run the embedded Redis.", PROCESSES, "server"),
    "doctor": CommandEntry(
        "doctor.command", "doctor", "Check the deployment, and say how to mend it.", PROCESSES, "server"
    ),
    "instances": CommandEntry("cli.commands.instances", "commands", "List, create, export or delete instances.", ADMIN),
    "members": CommandEntry("cli.commands.members", "commands", "Members of an instance, and their roles.", ADMIN),
    "front-end-tokens": CommandEntry(
        "cli.commands.members", "token_commands", "API tokens for your own web pages.", ADMIN
    ),
    "policy": CommandEntry(
        "cli.commands.instance_data", "policy_commands", "Retention and redaction of an instance.", ADMIN
    ),
    "audit": CommandEntry("cli.commands.audit", "commands", "List who did what; verify the log.", ADMIN),
    "users": CommandEntry("cli.commands.users", "commands", "Users and their passwords.", DATABASE, "server"),
    "keys": CommandEntry("cli.commands.encryption_keys", "commands", "Keys that encrypt payloads.", DATABASE, "server"),
    "prune": CommandEntry(
        "cli.commands.maintenance", "prune_instance", "Delete old events and ended tasks.", DATABASE, "server"
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
    url: Annotated[str | None, typer.Option(metavar="URL", help="Server to call.")] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="PROFILE", help="Server of this profile; see `swallowtail profiles`.")
    ] = None,
) -> None:
    """Take the options that precede a command."""
    server_address.options.url, server_address.options.profile = url, profile


def _write_errors_as_logs() -> None:
    """Write errors as JSON lines if the logs of the deployment are JSON; a client without the server has no logs."""
    try:
        from swallowtail.app.core.logs.unlogged_output import capture_errors, shorten
    except ModuleNotFoundError:
        return
    capture_errors()
    shorten(typer.BadParameter.__base__)


def main() -> None:
    """Run the command with the arguments of this process."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal cannot show must not end the command.
        sys.stdout.reconfigure(errors="replace")
    _write_errors_as_logs()
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
