"""The commands `swallowtail up`, `web`, `worker`, `beat`, `release` and `redis`: each replaces itself by its process.

The process starts in a new interpreter: the web process patches the standard library before anything is imported.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from swallowtail.app.core.process.early_interrupt import blocked_interrupt
from swallowtail.app.core.process.python_command import python_command
from swallowtail.scripts.processes.command_lines import DEV, UP, command_line

Processes = Annotated[int | None, typer.Option(metavar="N", help="Processes on the one address.", min=1)]
Procfile = Annotated[str | None, typer.Option(metavar="FILE", help="Run the processes of this file instead.")]


def up(procfile: Procfile = None) -> None:
    """Run everything on this machine until Ctrl-C: the embedded Redis, the release, web, a worker and beat.

    Settings, `.env`, `var` and agents are those of the current folder.

    Example: swallowtail up
    """
    execute(python_command(UP, *(() if procfile is None else ("--procfile", procfile))))


def dev() -> None:
    """Run everything as `swallowtail up` does, and load the agents again when a Python file of this folder changes.

    A module that cannot be loaded stops nothing: the error is shown here and on every page until it is mended.

    Example: swallowtail dev
    """
    execute(python_command(DEV))


def web(processes: Processes = None) -> None:
    """Serve the pages, the REST API and Socket.IO on SWALLOWTAIL_HOST and SWALLOWTAIL_PORT (or PORT).

    Example: SWALLOWTAIL_PORT=8080 swallowtail web --processes 4
    """
    execute(command_line("web", *(() if processes is None else ("--processes", str(processes)))))


def worker(context: typer.Context) -> None:
    """Run tasks: a Celery worker with the agents of SWALLOWTAIL_AGENTS and of `agents.py` or `agents/` in this folder.

    Options are those of `celery worker`; `swallowtail worker -- --help` lists them.

    Example: swallowtail worker --concurrency 4
    """
    execute(command_line("worker", *context.args))


def beat(context: typer.Context) -> None:
    """Submit the tasks of schedules: Celery beat with the schedules of the database.

    Options are those of `celery beat`; `swallowtail beat -- --help` lists them.

    Example: swallowtail beat
    """
    execute(command_line("beat", *context.args))


def release() -> None:
    """Prepare the database: migrations, the agents' cards and the demo instance. Repeating it does no harm.

    Example: swallowtail release
    """
    execute(command_line("release"))


def redis() -> None:
    """Run the embedded Redis of the var directory; where SWALLOWTAIL_REDIS_URL is set, only wait.

    Example: swallowtail redis
    """
    execute(command_line("redis"))


def execute(command: list[str]) -> None:
    """Replace this process by the command. Raises ModuleNotFoundError without the server's packages."""
    if find_spec("celery") is None:
        raise ModuleNotFoundError("celery")
    sys.stdout.flush()
    with blocked_interrupt():
        os.execv(command[0], command)
