"""Beside the road: reads the Procfile, the list of a deployment's processes."""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


class ProcfileError(Exception):
    """The Procfile cannot be read as one; the message names the line."""


def read_procfile(path: Path) -> dict[str, str]:
    """Return the commands by name, in the order of the file. Blank lines and those that start with # count for nothing.

    Raises:
        ProcfileError: a line is not `name: command`, or a name comes twice.
    """
    commands: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ProcfileError(f"{path.name}, line {number}: not of the form `name: command`")
        if found["name"] in commands:
            raise ProcfileError(f"{path.name}, line {number}: {found['name']} is there already")
        commands[found["name"]] = found["command"]
    return commands
