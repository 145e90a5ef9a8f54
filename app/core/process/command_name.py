"""Names the `swallowtail` command of this environment as one types it in the working directory."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NAME = "swallowtail"


def find_command(path: str | None = None) -> str:
    """Return `swallowtail` if that finds this environment's command on the PATH, else the path of the command."""
    program = Path(sys.executable).parent / NAME
    installed = shutil.which(NAME, path=path)
    if installed is not None and os.path.abspath(installed) == str(program):
        return NAME
    return relative(program) if program.exists() else f"{relative(Path(sys.executable))} -m swallowtail.scripts.enqueue"


def name_command() -> str:
    """Return the command for people elsewhere: its path if that is below the working directory, else its name."""
    program = Path(sys.executable).parent / NAME
    short = relative(program)
    return NAME if os.path.isabs(short) or not program.exists() else short


def relative(path: Path) -> str:
    """Return the path from the working directory if it is below that, else the whole path."""
    try:
        short = str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
    return short if os.sep in short else f".{os.sep}{short}"
