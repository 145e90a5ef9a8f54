"""Commands for access to an instance: its members and its API tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from swallowtail.app.core.identity import api_tokens, members
from swallowtail.app.core.schemas.identities import NewFrontEndToken
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.open_runtime import open_runtime, open_runtime_and_tokens, open_runtime_as
from swallowtail.scripts.cli.options import AsJson, AsOperator, Instance
from swallowtail.scripts.cli.printing import (
    print_json,
    print_list,
    print_members,
    print_note,
    print_secret,
    print_tokens,
)
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


@commands.command("list")
def show_members(instance: Instance, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """List an instance's members by name."""
    with open_runtime_as(operator) as runtime:
        print_list(members.list_members(runtime, instance), as_json, print_members)


@commands.command("set")
def set_role(
    instance: Instance,
    user: User,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator, admin or owner.")],
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Set a user's role in the instance. The user becomes a member if needed."""
    with open_runtime_as(operator) as runtime:
        member = members.set_member(runtime, instance, user, role.lower())
    if as_json:
        print_json(member)
    else:
        print_note(f"{member['name']} is {member['role']} of {instance}.")


@commands.command("remove")
def remove(instance: Instance, user: User, operator: AsOperator = False) -> None:
    """Remove a member. API tokens that this user created are revoked."""
    with open_runtime_as(operator) as runtime:
        members.remove_member(runtime, instance, user)
    print_note("Removed.")


@token_commands.command("list")
def show_tokens(instance: Instance, as_json: AsJson = False) -> None:
    """List the API tokens of an instance, latest first."""
    with open_runtime() as runtime:
        print_list(api_tokens.list_front_ends(runtime, instance), as_json, print_tokens)


@token_commands.command("create")
@token_commands.command("mint", hidden=True)
def create_token(
    instance: Instance,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name that describes its purpose.")],
    task: Annotated[str | None, typer.Option("--task", metavar="ID", help="Limit the token to this task.")] = None,
    acts: Annotated[
        list[str] | None,
        typer.Option("--act", metavar="ACT", help="A permission besides instance.read; may be repeated."),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="FIELD", help="A field that the token shows; may be repeated. All by default."),
    ] = None,
    lifetime: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Lifetime of the token, such as 8h.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a token. Its secret is printed only once."""
    with open_runtime_and_tokens() as (runtime, tokens):
        new = NewFrontEndToken(
            name=name,
            task_id=task,
            acts=sorted({"instance.read", *(acts or [])}),
            fields=fields,
            lifetime=None if lifetime is None else parse_duration(lifetime, "--for"),
        )
        created = api_tokens.issue_front_end(runtime, tokens, instance, new)
    print_secret(created, as_json)


@token_commands.command("revoke")
def revoke(instance: Instance, token: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of the token.")]) -> None:
    """Revoke a token; its open connections end within two seconds."""
    with open_runtime() as runtime:
        api_tokens.revoke_front_end(runtime, instance, token)
    print_note("Revoked.")
