"""Asks for what must not stand on a command line, where every user of the machine could read it: passwords."""

from __future__ import annotations

import sys

import typer

from swallowtail.app.core.errors import InvalidInput

_LONGEST = 10_000


def ask_name() -> str:
    """Return a name: typed on the terminal, or the next line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Name", err=True))
    return _read_line("name")


def ask_password(prompt: str = "Password", *, twice: bool = False) -> str:
    """Return a password: typed unseen on the terminal, `twice` when it is new, or the next line of standard input.

    Raises:
        InvalidInput: there is no next line.
    """
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))
    return _read_line("password")


def _read_line(what: str) -> str:
    line = sys.stdin.readline(_LONGEST)
    if not line:
        raise InvalidInput(f"there is no {what} on standard input", field=what)
    return line.rstrip("\r\n")
