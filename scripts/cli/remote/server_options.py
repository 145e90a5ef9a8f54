"""Adds to every command over HTTP the options that choose its server, and names the options in its errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer
import typer.main

from swallowtail.app.core.errors import SwallowtailError
from swallowtail.scripts.cli.remote import server_address

#: Fields of the REST API, and the parameters of commands that they come from where the names differ.
_PARAMETERS = {
    "Idempotency-Key": "key",
    "id": "instance_id",
    "instance_id": "instance",
    "interval_seconds": "every",
    "run_at": "at",
    "schedule_id": "schedule",
    "secret_fields": "secret_field",
    "task_id": "task",
    "token_id": "token",
    "user_id": "user",
    "user_name": "user",
    "artifact_id": "artifact",
}


def _remember_url(value: str | None) -> str | None:
    if value is not None:
        server_address.options.url = value
    return value


def _remember_profile(value: str | None) -> str | None:
    if value is not None:
        server_address.options.profile = value
    return value


Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="Server to call.", callback=_remember_url, expose_value=False, is_eager=True
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="PROFILE",
        help="Server of this profile; see `swallowtail profiles`.",
        callback=_remember_profile,
        expose_value=False,
        is_eager=True,
    ),
]


def add_server_options(command: Any) -> None:
    """Add `--url` and `--profile` to a command, and to those of a group, except the local ones."""
    if not getattr(command.callback, "is_local", False):
        command.params.extend(_make_options())
    for inner in getattr(command, "commands", {}).values():
        add_server_options(inner)


def name_options(command: Any) -> None:
    """Let the errors of a command, and of those of a group, name the options that the user typed."""
    if command.callback is not None:
        command.callback = _name_options(command, command.callback)
    for inner in getattr(command, "commands", {}).values():
        name_options(inner)


def local(command: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a command that calls no server."""
    command.is_local = True  # type: ignore[attr-defined]
    return command


def _make_options() -> list[Any]:
    app = typer.Typer(add_completion=False)

    @app.command()
    def options(url: Url = None, profile: ProfileName = None) -> None:
        pass

    return [param for param in typer.main.get_command(app).params if param.name in ("url", "profile")]


def _name_options(command: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of a command whose errors name the options that the user typed."""

    @functools.wraps(run)
    def named(**values: Any) -> Any:
        try:
            return run(**values)
        except SwallowtailError as error:
            label = find_label(command, error.field or "")
            if label is not None:
                if error.message.startswith(str(error.field)):
                    error.message = label + error.message.removeprefix(str(error.field))
                error.field = label
            raise

    return named


def find_label(command: Any, field: str) -> str | None:
    """Return the option or argument that a field of the REST API comes from; None for other fields."""
    head, bracket, rest = field.partition("[")
    name = _PARAMETERS.get(head, head)
    for param in command.params:
        if param.name in (name, f"{name}s") or (head == "name" and param.name == "user"):
            label = param.opts[0] if param.opts[0].startswith("-") else (param.metavar or name.upper())
            return f"{label}{bracket}{rest}" if bracket and name == head else label
    return None
