"""Prints the output of several processes, each line with the time and the name of its process."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime

import orjson
from rich.console import Console
from rich.text import Text

from swallowtail.app.core.logs.unlogged_output import LineStream

#: Readable on dark and light backgrounds.
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
#: The time with which our log lines begin.
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z) ")
#: The name before the supervisor's own lines.
SELF = "up"


class ProcessOutput:
    """Writes lines with the time and the name of the process, in the colour of the process on a terminal."""

    def __init__(self, names: list[str], console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stdout, soft_wrap=True, highlight=False)
        self._width = max(len(name) for name in [*names, SELF])
        self._colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}

    def show(self, name: str, text: str) -> None:
        """Write one line of a process; an empty one is left out unless it is the supervisor's.

        The time is the one with which our log lines begin, and otherwise the present one. Where logs are JSON, the
        line is an object with the name of the process.
        """
        if name != SELF and not text.strip():
            return
        if isinstance(sys.stdout, LineStream):
            sys.stdout.real.write(_encode(name, text))
            sys.stdout.real.flush()
            return
        own_time = _TIME.match(text)
        time = datetime.now(UTC) if own_time is None else datetime.fromisoformat(own_time[1])
        text = text if own_time is None else text[own_time.end() :]
        prefix = Text(f"{time.astimezone():%H:%M:%S} {name:<{self._width}} | ", style=self._colours.get(name, "bold"))
        self._console.print(prefix + Text.from_ansi(text), soft_wrap=True)

    def print_line(self, text: str) -> None:
        """Write lines of the supervisor."""
        for line in text.splitlines():
            self.show(SELF, line)


def _encode(name: str, text: str) -> str:
    try:
        entry = orjson.loads(text)
    except orjson.JSONDecodeError:
        entry = None
    if not isinstance(entry, dict):
        entry = {"event": text, "level": "info", "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    return orjson.dumps({**entry, "process": name}).decode() + "\n"
