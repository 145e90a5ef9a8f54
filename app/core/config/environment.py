"""Reads the variables of the environment and of `.env`, and finds misspelt names among them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from swallowtail.app.core.errors import SettingsError

PREFIX = "SWALLOWTAIL_"
#: A variable that a shell could set: python-dotenv also reads `"NAME"=value` and `$NAME=value` as names.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What python-dotenv counts as the end of a line.
_NEWLINE = re.compile(r"\r\n|\n|\r")
#: Kubernetes sets these in every container beside a service whose name begins with `swallowtail`.
_KUBERNETES = re.compile(r"SWALLOWTAIL_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT)(?:_[A-Z0-9_]+)?|PORT_\d+_.*)")
#: Celery prefers these to the broker URL of the settings, and then ignores their TLS options. So does `celery -b`.
_CELERY = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")


def read_env_file() -> Mapping[str, str | None]:
    """Return the variables of `.env` in the working directory. Raises SettingsError, whose message names the file."""
    file = Path(".env").absolute()
    try:
        # A directory of this name is an environment of Python's venv. Some editors begin a file with a BOM.
        text = file.read_text(encoding="utf-8-sig") if file.exists() and not file.is_dir() else ""
    except UnicodeDecodeError as fault:
        raise SettingsError(f"{file} is not UTF-8 at byte {fault.start}: save it as UTF-8") from None
    except OSError as fault:
        raise SettingsError(f"{file} cannot be read: {fault.strerror}; permit it, or remove the file") from None
    values, lines = parse_env_text(text)
    if lines:
        where = f"line {lines[0]} sets" if len(lines) == 1 else f"lines {', '.join(map(str, lines))} set"
        raise SettingsError(f"{file}: {where} nothing; write NAME=value, or # before a comment")
    return values


def parse_env_text(text: str) -> tuple[Mapping[str, str | None], list[int]]:
    """Return the variables of the text of a `.env`, and the numbers of lines that are meant to set one and do not.

    A bare name is allowed, as in Docker's files: it stands for the variable of the environment. If that has none of
    ours by this name, the line is a mistake.
    """
    with _collecting_lines() as starts:
        values = dotenv_values(stream=StringIO(text))
    lines = _NEWLINE.split(text)
    numbers = {_skip_blank(lines, start) for start in starts}
    ours = {name: value for name, value in values.items() if PREFIX.strip("_") in name.upper()}
    for name, value in ours.items():
        if _NAME.fullmatch(name) and (value is not None or name in os.environ):
            continue
        statement = re.compile(rf"\s*(?:export\s+)?'?{re.escape(name)}'?\s*(?:[=#].*)?")
        numbers |= {number for number, line in enumerate(lines, start=1) if statement.fullmatch(line)}
    return values, sorted(numbers)


@contextmanager
def _collecting_lines() -> Iterator[list[int]]:
    """Yield the list of the lines that python-dotenv cannot read: it logs each, once per reader, without the file."""
    numbers: list[int] = []
    logger, handler = logging.getLogger("dotenv"), logging.Handler()
    handler.emit = lambda record: numbers.extend(n for n in record.args or () if isinstance(n, int))  # type: ignore[method-assign]
    logger.addHandler(handler)
    propagates, logger.propagate = logger.propagate, False
    try:
        yield numbers
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)


def _skip_blank(lines: list[str], number: int) -> int:
    """Return the line of a statement, which python-dotenv counts from the blank lines before it."""
    while not lines[number - 1].strip():
        number += 1
    return number


def read_values(known: Collection[str]) -> dict[str, str]:
    """Return the values of the settings by field name, from `.env` and the environment, which wins.

    Names may have any case. `PORT` sets `port` too, if `SWALLOWTAIL_PORT` does not in the same place.
    """
    values: dict[str, str] = {}
    for variables in (_upper(read_env_file()), _upper(os.environ)):
        if "PORT" in variables:
            variables.setdefault(f"{PREFIX}PORT", variables["PORT"])
        values |= {name: variables[PREFIX + name.upper()] for name in known if PREFIX + name.upper() in variables}
    return values


def find_unknown(known: Iterable[str]) -> list[str]:
    """Return a message for each variable with our prefix that is no setting, with the nearest name."""
    names = {name.upper() for name in known}
    variables = {**read_env_file(), **os.environ}
    messages = [
        f"{name}: Celery would use it instead of SWALLOWTAIL_BROKER_URL; set SWALLOWTAIL_BROKER_URL (also for `-b`)"
        for name in _CELERY
        if os.environ.get(name)
    ]
    for name, value in sorted(variables.items()):
        bare = name.upper().removeprefix(PREFIX)
        if not name.upper().startswith(PREFIX) or bare in names or _is_kubernetes(name.upper(), value or ""):
            continue
        near = get_close_matches(bare, names, n=1)
        hint = f"did you mean {PREFIX}{near[0]}?" if near else "docs/settings.md lists them"
        messages.append(f"{name}: there is no such setting; {hint}")
    return messages


def _is_kubernetes(name: str, value: str) -> bool:
    return _KUBERNETES.fullmatch(name) is not None or value.startswith(("tcp://", "udp://"))


def _upper(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name.upper(): value for name, value in variables.items() if value is not None}
