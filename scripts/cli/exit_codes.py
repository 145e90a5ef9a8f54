"""Maps errors and task statuses to exit codes, and prints one line instead of a traceback."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from swallowtail.app.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    NotReleased,
    SettingsError,
    SwallowtailError,
    TooFast,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from swallowtail.app.core.states import TaskStatus


class ExitCode(IntEnum):
    """Exit codes; docs/cli.md lists them. A task that was followed decides the code by its status."""

    #: Done; a task that was followed is COMPLETED.
    OK = 0
    #: An unexpected error.
    INTERNAL = 1
    #: Wrong usage, input or settings.
    BAD_INPUT = 2
    FAILED = 3
    CANCELLED = 4
    EXPIRED = 5
    #: There is no such instance, task, schedule or agent, or the caller may not see it.
    NOT_FOUND = 6
    #: The current state does not allow this, or the name, id or key is taken.
    CONFLICT = 7
    #: The database is away or not set up.
    UNAVAILABLE = 8
    #: The caller is not signed in, or the token has expired or was revoked.
    UNAUTHENTICATED = 9
    #: The caller's role or token does not allow it.
    FORBIDDEN = 10
    #: The audit log was changed, or its end is missing.
    BROKEN_CHAIN = 11
    #: Ctrl-C.
    INTERRUPTED = 130
    #: The reader of the output closed the pipe.
    BROKEN_PIPE = 141


_OF_ERROR: list[tuple[type[SwallowtailError], ExitCode]] = [
    (InvalidInput, ExitCode.BAD_INPUT),
    (TooLarge, ExitCode.BAD_INPUT),
    (NotReleased, ExitCode.UNAVAILABLE),
    (SettingsError, ExitCode.BAD_INPUT),
    (NotFound, ExitCode.NOT_FOUND),
    (Conflict, ExitCode.CONFLICT),
    (TooMany, ExitCode.CONFLICT),
    (Unavailable, ExitCode.UNAVAILABLE),
    (TooFast, ExitCode.UNAVAILABLE),
    (Unauthenticated, ExitCode.UNAUTHENTICATED),
    (Forbidden, ExitCode.FORBIDDEN),
]


def code_of_status(status: str) -> ExitCode:
    """Return the exit code for a task that was followed to this status."""
    return ExitCode.OK if status == TaskStatus.COMPLETED else ExitCode[status]


def print_error(message: str, field: str | None = None) -> None:
    """Print an error as one line, preceded by the field unless the message begins with it."""
    has_field = field is None or message.startswith(field)
    print(f"swallowtail: {message if has_field else f'{field}: {message}'}", file=sys.stderr)


class CommandGroup(TyperGroup):
    """A group of commands that turns every error into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:
            discard_output()
            raise typer.Exit(ExitCode.BROKEN_PIPE) from None
        except SwallowtailError as error:
            print_error(error.message, error.field)
            raise typer.Exit(code_of(error)) from None


def code_of(error: SwallowtailError) -> ExitCode:
    """Return the exit code for an error."""
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), ExitCode.INTERNAL)


def discard_output() -> None:
    """Discard all further output, including what is flushed when the process ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
