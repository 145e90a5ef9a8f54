"""How the `swallowtail` command ends: exit codes (docs/cli.md is the table), and one line instead of a traceback."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import Any

import typer
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
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
    """What the shell gets; a task that was followed to its end says how it ended."""

    #: Done; a task that was followed is COMPLETED.
    OK = 0
    #: Something that nobody expected.
    INTERNAL = 1
    #: Wrong usage, input or settings.
    BAD_INPUT = 2
    FAILED = 3
    CANCELLED = 4
    EXPIRED = 5
    #: There is no such instance, task, schedule or agent, or it is not the caller's to see.
    NOT_FOUND = 6
    #: It is not in a state that allows this, or the name, id or key is taken.
    CONFLICT = 7
    #: The database is away or not set up.
    UNAVAILABLE = 8
    #: Nobody is signed in, or the token is good no longer.
    UNAUTHENTICATED = 9
    #: The caller's role, or token, does not allow it.
    FORBIDDEN = 10
    #: The audit log was changed, or its end was cut off.
    BROKEN_CHAIN = 11
    #: Ctrl-C.
    INTERRUPTED = 130
    #: Whoever read the output is gone.
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

_OF_STATUS = {
    TaskStatus.COMPLETED: ExitCode.OK,
    TaskStatus.FAILED: ExitCode.FAILED,
    TaskStatus.CANCELLED: ExitCode.CANCELLED,
    TaskStatus.EXPIRED: ExitCode.EXPIRED,
}

_NOT_SET_UP = "the database is not set up; run ./scripts/up, or python -m swallowtail.workers.release"


def code_of_status(status: str) -> ExitCode:
    """Return how the command ends that followed a task to this status."""
    return _OF_STATUS[TaskStatus(status)]


def complain(message: str, field: str | None = None) -> None:
    """Print one line about what went wrong, with the field unless the message begins with it."""
    named = field is None or message.startswith(field)
    print(f"swallowtail: {message if named else f'{field}: {message}'}", file=sys.stderr)


class Commands(TyperGroup):
    """A group of commands in which every error becomes one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:
            drop_output()
            raise typer.Exit(ExitCode.BROKEN_PIPE) from None
        except SwallowtailError as refused:
            complain(refused.message, refused.field)
            raise typer.Exit(_code_of(refused)) from None
        except DBAPIError as fault:
            complain(_describe(fault))
            raise typer.Exit(ExitCode.UNAVAILABLE) from None


def _code_of(refused: SwallowtailError) -> ExitCode:
    return next((code for kind, code in _OF_ERROR if isinstance(refused, kind)), ExitCode.INTERNAL)


def _describe(fault: DBAPIError) -> str:
    text = str(fault.orig).lower()
    missing = isinstance(fault, OperationalError | ProgrammingError) and (
        "no such table" in text or "not exist" in text
    )
    return _NOT_SET_UP if missing else f"the database refused: {str(fault.orig).splitlines()[0]}"


def drop_output() -> None:
    """Let nothing be written any more, not even what is flushed at the end of the process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
