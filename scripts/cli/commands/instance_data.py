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
from swallowtail.app.core.schemas.instances import NewPolicy, PolicyView
from swallowtail.app.core.services.instance_deletion import delete_instance
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.services.instance_policy import put_policy, show_policy
from swallowtail.app.core.validation import check_task_id
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.open_runtime import open_runtime
from swallowtail.scripts.cli.options import AsJson, Instance
from swallowtail.scripts.cli.printing import count, print_json, print_note
from swallowtail.scripts.cli.reads import open_reads

policy_commands = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Show and set retention and redaction of an instance."
)

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; standard output by default.")
]


@policy_commands.command("show")
def show(instance: Instance, as_json: AsJson = False) -> None:
    """Show an instance's retention and redaction policy."""
    with open_runtime() as runtime:
        _print(show_policy(runtime, instance), as_json)


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
    with open_runtime() as runtime:
        policy = NewPolicy(
            event_days=event_days, task_days=task_days, secret_fields=secret_field or None, hide_emails=hide_emails
        )
        _print(put_policy(runtime, instance, policy), as_json)


def export(instance: Instance, output: Output = None) -> None:
    """Export everything in an instance as lines of JSON."""
    with open_runtime() as runtime, _open_output(output) as file:
        for line in export_instance(runtime, instance):
            file.write(line)


def remove(
    instance: Instance,
    confirm: Annotated[
        str | None, typer.Option(metavar="ID", help="The id again, as confirmation; asked for if omitted.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete an instance and everything in it except its audit log."""
    if confirm is None:
        if not sys.stdin.isatty():
            raise InvalidInput("repeat the instance's id to confirm", field="--confirm")
        confirm = typer.prompt(f"This deletes everything in {instance}. Type its id to confirm", err=True)
    with open_runtime() as runtime:
        deleted = delete_instance(runtime, instance, confirm)
    if as_json:
        print_json({"instance_id": instance, **deleted})
    else:
        print_note(f"Deleted {instance}: {count(deleted['tasks'], 'task')}, {count(deleted['events'], 'event')}.")


def artifact(
    artifact_id: Annotated[
        str, typer.Argument(metavar="ARTIFACT", help="Id of the artifact, from a reference in an output.")
    ],
    output: Output = None,
) -> None:
    """Write a large output as JSON or text. Events only refer to such outputs."""
    with open_reads() as reads:
        content = reads.artifact(check_task_id(artifact_id, "ARTIFACT"))
    with _open_output(output) as file:
        file.write(content.content)


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


def _print(view: PolicyView, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    for name in ("event_days", "task_days", "secret_fields", "hide_emails"):
        value = view[name]
        text = "default of the deployment" if value is None else ", ".join(value) if isinstance(value, list) else value
        print(f"{name}: {text}")
