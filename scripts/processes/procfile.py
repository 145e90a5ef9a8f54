"""Reads the Procfile, which lists the processes of a deployment."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from swallowtail.app.core.errors import SettingsError

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


def read_procfile(path: Path) -> dict[str, str]:
    """Return the commands by name, in the order of the file, without blank lines and comments. Raises SettingsError."""
    commands: dict[str, str] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise SettingsError(f"{path.name}, line {number}: expected `name: command`")
        if match["name"] in commands:
            raise SettingsError(f"{path.name}, line {number}: {match['name']} is listed twice")
        commands[match["name"]] = match["command"]
    return commands


def check_programs(path: Path, commands: Mapping[str, str], search: str) -> None:
    """Check that the program of each command can be executed, in the folders of `search`. Raises SettingsError."""
    for name, command in commands.items():
        try:
            program = shlex.split(command)[0]
        except ValueError:
            raise SettingsError(f"{path.name}: {name} has a quote without its end") from None
        # Only a shell knows what these become.
        if set(program) & set("$`~*;&|<>()") or shutil.which(program, path=search):
            continue
        if Path(program).is_file():
            raise SettingsError(f"{path.name}: {name}: {program} cannot be executed; permit it with chmod +x")
        raise SettingsError(f"{path.name}: {name}: the program {program} is not found; install it, or write its path")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        raise SettingsError(f"{path} cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError as fault:
        raise SettingsError(f"{path} is not UTF-8 at byte {fault.start}: save it as UTF-8") from None
