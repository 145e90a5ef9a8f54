"""The commands about what an instance keeps: its policy, its copy, its end, and large outputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.schemas.instances import PolicyView
from swallowtail.app.core.services.instance_deletion import delete_instance
from swallowtail.app.core.services.instance_export import export_instance
from swallowtail.app.core.services.instance_policy import PolicyWish, put_policy, show_policy
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.scripts.cli.exit_codes import Commands
from swallowtail.scripts.cli.open_runtime import open_domain
from swallowtail.scripts.cli.options import AsJson
from swallowtail.scripts.cli.printing import print_json, tell

policy = typer.Typer(cls=Commands, no_args_is_help=True, help="What an instance keeps, and what it hides.")

Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of the instance.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; standard output when left out.")]


@policy.command("show")
def show(instance: Instance, as_json: AsJson = False) -> None:
    """Show an instance's policy."""
    with open_domain() as runtime:
        _print(show_policy(runtime, instance), as_json)


@policy.command("set")
def change(
    instance: Instance,
    event_days: Annotated[float | None, typer.Option(help="Days that events are kept; 0 for ever.")] = None,
    task_days: Annotated[float | None, typer.Option(help="Days that ended tasks are kept; 0 for ever.")] = None,
    secret_field: Annotated[list[str] | None, typer.Option(help="Field that nobody sees; may be repeated.")] = None,
    hide_emails: Annotated[bool | None, typer.Option("--hide-emails/--show-emails", help="E-mail addresses.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put a policy in the place of the one before; what is left out is as the settings say."""
    with open_domain() as runtime:
        wish = PolicyWish(event_days, task_days, secret_field or None, hide_emails)
        _print(put_policy(runtime, instance, wish), as_json)


def export(instance: Instance, output: Output = None) -> None:
    """Write everything in an instance as lines of JSON."""
    with open_domain() as runtime, _open_output(output) as file:
        for line in export_instance(runtime, instance):
            file.write(line)


def remove(
    instance: Instance,
    confirm: Annotated[str | None, typer.Option(help="The id once more; asked for when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Delete an instance with everything in it; only the audit log stays."""
    check_instance_id(instance, "INSTANCE")
    if confirm is None:
        if not sys.stdin.isatty():
            raise InvalidInput("say the instance's id once more, to be sure", field="--confirm")
        confirm = typer.prompt(f"This deletes everything in {instance}. Its id once more", err=True)
    with open_domain() as runtime:
        done = delete_instance(runtime, instance, confirm)
    if as_json:
        print_json({"instance_id": instance, "tasks": done.tasks, "events": done.events})
    else:
        tell(f"Deleted {instance}: {done.tasks} tasks, {done.events} events.")


def artifact(
    artifact_id: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Id, from a reference in an output.")],
    output: Output = None,
) -> None:
    """Write a large output, JSON or text."""
    with open_domain() as runtime, runtime.db.read() as session:
        found = Sight(session, runtime.caller.actor).artifact(check_task_id(artifact_id, "ARTIFACT"))
    with _open_output(output) as file:
        file.write(found.content)


@contextmanager
def _open_output(output: Path | None) -> Iterator[BinaryIO]:
    """Give what is to be written to. A file is nobody else's to read, and has its name only once it is whole.

    Raises InvalidInput when it cannot be written.
    """
    if output is None:
        yield sys.stdout.buffer
        return
    if not output.name:
        raise InvalidInput("this is not the name of a file", field="--output")
    part = output.with_name(output.name + ".part")
    try:
        # One that is left over, or that somebody else has put there, would keep its mode, or be a link.
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
        part.replace(output)
    except OSError as fault:
        raise InvalidInput(f"{output} cannot be written: {fault.strerror}", field="--output") from None
    finally:
        with suppress(OSError):
            part.unlink()
    tell(f"Wrote {output}.")


def _print(view: PolicyView, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    for name in ("event_days", "task_days", "secret_fields", "hide_emails"):
        value = view[name]
        told = "as the settings say" if value is None else ", ".join(value) if isinstance(value, list) else value
        print(f"{name}: {told}")
