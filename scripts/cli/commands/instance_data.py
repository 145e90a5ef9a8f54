"""Commands for the data of an instance: retention policy, export, deletion and large outputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.options import AsJson, Instance
from swallowtail.scripts.cli.output.printing import Json, count, print_json, print_note
from swallowtail.scripts.cli.remote.open_client import api_path, download, open_client

policy_commands = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Show and set retention and redaction of an instance."
)

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; standard output by default.")
]


@policy_commands.command("show")
def show(instance: Instance, as_json: AsJson = False) -> None:
    """Show an instance's retention and redaction policy."""
    with open_client() as client:
        _print(client.request("GET", api_path("instances", instance, "policy")), as_json)


@policy_commands.command("set")
def change(
    instance: Instance,
    event_days: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Days to keep events; 0 keeps them forever.")
    ] = None,
    task_days: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Days to keep ended tasks; 0 keeps them forever.")
    ] = None,
    secret_field: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Field to redact; may be repeated.")
    ] = None,
    hide_emails: Annotated[
        bool | None, typer.Option("--hide-emails/--show-emails", help="Redact e-mail addresses.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replace the policy of an instance. Omitted options take the default of the deployment."""
    policy = {
        "event_days": event_days,
        "task_days": task_days,
        "secret_fields": secret_field or None,
        "hide_emails": hide_emails,
    }
    with open_client() as client:
        _print(client.request("PUT", api_path("instances", instance, "policy"), json=policy), as_json)


def export(instance: Instance, output: Output = None) -> None:
    """Export everything in an instance as lines of JSON."""
    with _open_output(output) as file:
        for piece in download(api_path("instances", instance, "export"), "application/x-ndjson"):
            file.write(piece)


def remove(
    instance: Instance,
    confirm: Annotated[
        str | None, typer.Option(metavar="INSTANCE", help="The id again, as confirmation; asked for if omitted.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete an instance and everything in it except its audit log."""
    if confirm is None:
        if not sys.stdin.isatty():
            raise InvalidInput("repeat the instance's id to confirm", field="--confirm")
        confirm = typer.prompt(f"This deletes everything in {instance}. Type its id to confirm", err=True)
    with open_client() as client:
        deleted = client.request("DELETE", api_path("instances", instance), params={"confirm": confirm})
    if as_json:
        print_json({"instance_id": instance, **deleted})
    else:
        print_note(f"Deleted {instance}: {count(deleted['tasks'], 'task')}, {count(deleted['events'], 'event')}.")


def show_artifact(
    artifact: Annotated[
        str, typer.Argument(metavar="ARTIFACT", help="Id of the artifact, from a reference in an output.")
    ],
    output: Output = None,
) -> None:
    """Write a large output as JSON or text. Events only refer to such outputs."""
    with _open_output(output) as file:
        for piece in download(api_path("artifacts", artifact), "application/json", "text/plain"):
            file.write(piece)


@contextmanager
def _open_output(output: Path | None) -> Iterator[BinaryIO]:
    """Open the output; a file is private to its owner and gets its name when it is complete. Raises InvalidInput."""
    if output is None:
        yield sys.stdout.buffer
        return
    if not output.name:
        raise InvalidInput("not a valid file name", field="--output")
    part = output.with_name(output.name + ".part")
    try:
        # An existing file could have another mode, or be a link.
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror}", field="--output") from None
    finally:
        with suppress(OSError):
            part.unlink()
    print_note(f"Wrote {output}.")


def _print(view: Json, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    for name in ("event_days", "task_days", "secret_fields", "hide_emails"):
        value = view[name]
        text = "default of the deployment" if value is None else ", ".join(value) if isinstance(value, list) else value
        print(f"{name}: {text}")
