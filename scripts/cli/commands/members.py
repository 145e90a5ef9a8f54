"""Commands for access to an instance: its members and its front-end tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from swallowtail.app.core.identity import api_tokens, members
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.schemas.identities import MemberView, NewFrontEndToken, TokenView
from swallowtail.app.core.validation import check_instance_id
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.open_runtime import open_runtime, open_runtime_as
from swallowtail.scripts.cli.options import AsJson, AsOperator
from swallowtail.scripts.cli.printing import console, print_json, print_list, print_note, when
from swallowtail.scripts.cli.task_input import parse_duration

commands = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, help="Manage the members of an instance and their roles."
)
token_commands = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Manage API tokens for your own web pages.")

Instance = Annotated[str, typer.Argument(help="Id of the instance.")]
User = Annotated[
    str, typer.Argument(help="Id of the user; superusers and members of a common instance may use the name.")
]


@commands.command("list")
def show_members(instance: Instance, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """List an instance's members by name."""
    with open_runtime_as(operator) as runtime:
        print_list(members.list_members(runtime, check_instance_id(instance, "INSTANCE")), as_json, _print_members)


@commands.command("set")
def set_role(
    instance: Instance,
    user: User,
    role: Annotated[str, typer.Argument(help="viewer, operator, admin or owner.")],
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Set a user's role in the instance. The user becomes a member if needed."""
    with open_runtime_as(operator) as runtime:
        member = members.set_member(runtime, check_instance_id(instance, "INSTANCE"), user, role.lower())
    if as_json:
        print_json(member)
    else:
        print_note(f"{member['name']} is {member['role']} of {instance}.")


@commands.command("remove")
def remove(instance: Instance, user: User, operator: AsOperator = False) -> None:
    """Remove a member. Front-end tokens that this user created are revoked."""
    with open_runtime_as(operator) as runtime:
        members.remove_member(runtime, check_instance_id(instance, "INSTANCE"), user)
    print_note("Removed.")


@token_commands.command("list")
def show_tokens(instance: Instance, as_json: AsJson = False) -> None:
    """List the front-end tokens of an instance, latest first."""
    with open_runtime() as runtime:
        print_list(api_tokens.list_front_ends(runtime, check_instance_id(instance, "INSTANCE")), as_json, _print_tokens)


@token_commands.command("mint")
def create_token(
    instance: Instance,
    name: Annotated[str, typer.Argument(help="Name that describes its purpose.")],
    task: Annotated[str | None, typer.Option("--task", help="Limit the token to this task.")] = None,
    acts: Annotated[
        list[str] | None, typer.Option("--act", help="A permission besides instance.read; may be repeated.")
    ] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--field", help="A field that the token shows; may be repeated. All by default.")
    ] = None,
    lifetime: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Lifetime of the token, such as 8h.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a token. Its secret is printed only once."""
    with open_runtime() as runtime:
        instance_id = check_instance_id(instance, "INSTANCE")
        new = NewFrontEndToken(
            name=name,
            task_id=task,
            acts=sorted({"instance.read", *(acts or [])}),
            fields=fields,
            lifetime=None if lifetime is None else parse_duration(lifetime, "--for"),
        )
        created = api_tokens.issue_front_end(runtime, Tokens(runtime), instance_id, new)
    if as_json:
        print_json(created)
    else:
        print(created["secret"])
        print_note(f"Token {created['token']['id']}, valid until {when(created['token']['expires_at'])}.")


@token_commands.command("revoke")
def revoke(instance: Instance, token: Annotated[str, typer.Argument(help="Id of the token.")]) -> None:
    """Revoke a token; its open connections end within two seconds."""
    with open_runtime() as runtime:
        api_tokens.revoke_front_end(runtime, check_instance_id(instance, "INSTANCE"), token)
    print_note("Revoked.")


def _print_members(members: Sequence[MemberView]) -> None:
    _print_lines([(member["name"], member["role"], when(member["created_at"])) for member in members], "no members")


def _print_tokens(tokens: Sequence[TokenView]) -> None:
    rows = [(token["id"], token["name"], token["task_id"] or "", when(token["expires_at"])) for token in tokens]
    _print_lines(rows, "no tokens")


def _print_lines(rows: Sequence[Sequence[str]], empty: str) -> None:
    if not rows:
        print_note(empty)
    for row in rows:
        console().print("  ".join(row), markup=False, highlight=False)
