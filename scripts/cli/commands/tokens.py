"""Commands for personal tokens, with which programs act as their user."""

from __future__ import annotations

from typing import Annotated

import typer

from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.options import AsJson, Lifetime
from swallowtail.scripts.cli.output.printing import print_list, print_note, print_secret
from swallowtail.scripts.cli.output.tables import print_tokens
from swallowtail.scripts.cli.remote.open_client import api_path, open_client
from swallowtail.scripts.cli.task_input import parse_duration

commands = typer.Typer(cls=CommandGroup)


@commands.callback(invoke_without_command=True)
def show_tokens(context: typer.Context, as_json: AsJson = False) -> None:
    """List your valid personal tokens, latest first; with a command, create or revoke one."""
    if context.invoked_subcommand is not None:
        return
    with open_client() as client:
        listed = client.request("GET", api_path("tokens"))["items"]
    print_list(listed, as_json, print_tokens)


@commands.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name that describes its purpose.")],
    acts: Annotated[
        list[str] | None,
        typer.Option(
            "--act",
            metavar="ACT",
            help="A permission of the token, such as instance.read; may be repeated. All of yours by default.",
        ),
    ] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", "-i", metavar="INSTANCE", help="Limit the token to this instance.")
    ] = None,
    lifetime: Lifetime = None,
    as_json: AsJson = False,
) -> None:
    """Create a personal token with which a program acts as you. Its secret is printed only once."""
    new = {
        "name": name,
        "acts": acts or None,
        "instance_id": instance,
        "lifetime": None if lifetime is None else parse_duration(lifetime, "--for"),
    }
    with open_client() as client:
        created = client.request("POST", api_path("tokens"), json=new)
    print_secret(created, as_json)


@commands.command("revoke")
def revoke(token: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of the token.")]) -> None:
    """Revoke one of your personal tokens."""
    with open_client() as client:
        client.request("DELETE", api_path("tokens", token))
    print_note("Revoked.")
