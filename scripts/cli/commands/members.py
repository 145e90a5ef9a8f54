"""Commands for access to an instance: its members and its API tokens."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.options import AsJson, AsOperator, Instance, Lifetime
from swallowtail.scripts.cli.output.printing import print_json, print_list, print_note, print_secret
from swallowtail.scripts.cli.output.tables import print_members, print_tokens
from swallowtail.scripts.cli.remote.open_client import api_path, open_client
from swallowtail.scripts.cli.task_input import parse_duration

commands = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Manage the members of an instance and their roles."
)
token_commands = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Manage API tokens for your own web pages.")

User = Annotated[
    str,
    typer.Argument(
        metavar="USER", help="Id of the user; superusers and members of a common instance may use the name."
    ),
]


def _open_as_operator() -> tuple[Any, Any]:
    """Return the service of members, and the runtime to open. The import is slow, and needs the server's packages."""
    from swallowtail.app.core.identity import members
    from swallowtail.scripts.cli.open_runtime import open_runtime_as

    return members, open_runtime_as(True)


@commands.command("list")
def show_members(instance: Instance, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """List an instance's members by name."""
    if operator:
        members, runtime = _open_as_operator()
        with runtime as opened:
            listed = members.list_members(opened, instance)
    else:
        with open_client() as client:
            listed = client.request("GET", api_path("instances", instance, "members"))["items"]
    print_list(listed, as_json, print_members)


@commands.command("set")
def set_role(
    instance: Instance,
    user: User,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator, admin or owner.")],
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Set a user's role in the instance. The user becomes a member if needed."""
    if operator:
        members, runtime = _open_as_operator()
        with runtime as opened:
            member = members.set_member(opened, instance, user, role.lower())
    else:
        with open_client() as client:
            path = api_path("instances", instance, "members", user)
            member = client.request("PUT", path, json={"role": role.lower()})
    if as_json:
        print_json(member)
    else:
        print_note(f"{member['name']} is {member['role']} of {instance}.")


@commands.command("remove")
def remove(instance: Instance, user: User, operator: AsOperator = False) -> None:
    """Remove a member. API tokens that this user created are revoked."""
    if operator:
        members, runtime = _open_as_operator()
        with runtime as opened:
            members.remove_member(opened, instance, user)
    else:
        with open_client() as client:
            client.request("DELETE", api_path("instances", instance, "members", user))
    print_note("Removed.")


@token_commands.command("list")
def show_tokens(instance: Instance, as_json: AsJson = False) -> None:
    """List the API tokens of an instance, latest first."""
    with open_client() as client:
        listed = client.request("GET", api_path("instances", instance, "front-end-tokens"))["items"]
    print_list(listed, as_json, print_tokens)


@token_commands.command("create")
@token_commands.command("mint", hidden=True)
def create_token(
    instance: Instance,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name that describes its purpose.")],
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Limit the token to this task.")] = None,
    acts: Annotated[
        list[str] | None,
        typer.Option("--act", metavar="ACT", help="A permission besides instance.read; may be repeated."),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="FIELD", help="A field that the token shows; may be repeated. All by default."),
    ] = None,
    lifetime: Lifetime = None,
    as_json: AsJson = False,
) -> None:
    """Create a token. Its secret is printed only once."""
    new = {
        "name": name,
        "task_id": task,
        "acts": sorted({"instance.read", *(acts or [])}),
        "fields": fields,
        "lifetime": None if lifetime is None else parse_duration(lifetime, "--for"),
    }
    with open_client() as client:
        created = client.request("POST", api_path("instances", instance, "front-end-tokens"), json=new)
    print_secret(created, as_json)


@token_commands.command("revoke")
def revoke(instance: Instance, token: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of the token.")]) -> None:
    """Revoke a token; its open connections end within two seconds."""
    with open_client() as client:
        client.request("DELETE", api_path("instances", instance, "front-end-tokens", token))
    print_note("Revoked.")
