"""Asks for names and passwords, which must not be arguments that other users of the machine can read."""

from __future__ import annotations

import sys

import typer

from swallowtail.app.core.errors import InvalidInput

_LONGEST = 10_000


def ask_name() -> str:
    """Return a name, typed on the terminal or from the next line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Name", err=True))
    return _read_line("name")


def ask_password(prompt: str = "Password", *, twice: bool = False) -> str:
    """Return a password, typed without echo (`twice` for a new one), or the next line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))
    return _read_line("password")


def ask_token() -> str:
    """Return a token, typed without echo, or the next line of standard input. Raises InvalidInput."""
    token = str(typer.prompt("Token", hide_input=True, err=True)) if sys.stdin.isatty() else _read_line("token")
    if not token.isascii() or not token.isprintable() or not token.strip():
        raise InvalidInput("must be a text of printable ASCII characters", field="token")
    return token.strip()


def _read_line(what: str) -> str:
    line = sys.stdin.readline(_LONGEST)
    if not line:
        raise InvalidInput(f"there is no {what} on standard input", field=what)
    return line.rstrip("\r\n")
