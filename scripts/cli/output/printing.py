"""Prints results: one JSON object per line for programs, tables and text for people."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Json = Mapping[str, Any]
Item = TypeVar("Item", bound=Json)

#: Columns of text and of tables that are not shown on a terminal.
_WIDE, _WIDEST = 160, 100_000
_MINUTE = 60
_UNITS = {"d": 86_400, "h": 3600, "m": 60}
#: Characters of a cell that stays in one line, such as an id.
_LONGEST_UNFOLDED = 40
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def console(width: int = _WIDE) -> Console:
    """Return a console on standard output. In files and pipes, lines have `width` columns."""
    # The library takes long to import, which `--help` should not.
    from rich.console import Console

    class RaisingConsole(Console):
        def on_broken_pipe(self) -> None:
            """Raise BrokenPipeError for `exit_codes`; Rich would exit with 1."""
            raise BrokenPipeError

    return RaisingConsole(file=sys.stdout, emoji=False, width=None if sys.stdout.isatty() else width)


def readable(text: object) -> str:
    """Return text with control characters replaced, so that it cannot control the terminal."""
    return _CONTROL.sub("\ufffd", str(text))


def print_note(text: str) -> None:
    """Print a remark on standard error, so that standard output stays readable for programs."""
    print(text, file=sys.stderr)


def to_json(value: Any) -> str:
    """Return a value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object as a line of UTF-8, without buffering."""
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{to_json(value)}\n".encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def print_list(items: Sequence[Item], as_json: bool, print_table: Callable[[Sequence[Item]], None]) -> None:
    """Print each item as a line of JSON, or all as a table."""
    if not as_json:
        print_table(items)
        return
    for item in items:
        print_json(item)


def print_result(view: Mapping[str, Any], note: str, as_json: bool) -> None:
    """Print what a command created or changed: as a line of JSON, or its id and a remark."""
    if as_json:
        print_json(view)
    else:
        print(view["id"])
        print_note(note)


def print_secret(created: Json, as_json: bool) -> None:
    """Print a new token: its secret, and until when it is valid."""
    if as_json:
        print_json(created)
        return
    token = created["token"]
    print(created["secret"])
    print_note(f"Token {token['id']}, valid until {when(token['expires_at'])}. It is not shown again.")


def when(stamp: str | None) -> str:
    """Return a timestamp of the wire in local time."""
    return "" if stamp is None else datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def took(began: str | None, ended: str | None) -> str:
    """Return the time between two timestamps of the wire, such as `1.2 s` or `3 min 20 s`."""
    if began is None or ended is None:
        return ""
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def format_duration(seconds: float) -> str:
    """Return a duration as options take it: `15m` for 900 seconds, `1d` for a day."""
    size, unit = next(((size, unit) for unit, size in _UNITS.items() if seconds % size == 0), (1, "s"))
    return f"{seconds / size:g}{unit}"


def print_table(columns: tuple[str, ...], rows: Sequence[tuple[str | None, ...]], empty: str) -> None:
    """Print rows below their columns, or a line if there are none. In files and pipes, a row is one line."""
    from rich.table import Table
    from rich.text import Text

    is_terminal = sys.stdout.isatty()
    output = console(_WIDEST)
    if not rows:
        output.print(empty, style="dim")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    # Ids are not folded, so that they can be copied.
    for place, column in enumerate(columns):
        is_long = max(len(row[place] or "") for row in rows) > _LONGEST_UNFOLDED
        is_whole = not is_terminal or (place < len(columns) - 1 and not is_long)
        table.add_column(column, no_wrap=is_whole, overflow="fold")
    for row in rows:
        cells = [readable(text or "") for text in row]
        table.add_row(*(Text(cell if is_terminal else " ".join(cell.split())) for cell in cells))
    with output.capture() as captured:
        output.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())
