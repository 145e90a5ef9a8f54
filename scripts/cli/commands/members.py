"""The commands about access to an instance: its members, and the tokens of its front ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from swallowtail.app.core.identity import api_tokens, members
from swallowtail.app.core.identity.api_tokens import FrontEndWish
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.schemas.identities import MemberView, TokenView
from swallowtail.app.core.validation import check_instance_id
from swallowtail.scripts.cli.exit_codes import Commands
from swallowtail.scripts.cli.open_runtime import open_as, open_domain
from swallowtail.scripts.cli.options import AsJson, AsOperator
from swallowtail.scripts.cli.printing import console, print_json, tell, when
from swallowtail.scripts.cli.task_input import parse_duration

people = typer.Typer(cls=Commands, no_args_is_help=True, help="Who is what in an instance.")
front_ends = typer.Typer(cls=Commands, no_args_is_help=True, help="Tokens that show an instance to your own pages.")

Instance = Annotated[str, typer.Argument(help="Id of the instance.")]
User = Annotated[
    str, typer.Argument(help="User id; the name does for superusers, and where you share an instance with them.")
]


@people.command("list")
def show_members(instance: Instance, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """List an instance's members by name."""
    with open_as(operator) as runtime:
        _print_members(members.list_members(runtime, check_instance_id(instance, "INSTANCE")), as_json)


@people.command("set")
def set_role(
    instance: Instance,
    user: User,
    role: Annotated[str, typer.Argument(help="viewer, operator, admin or owner.")],
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Give a user a role, whether or not they have one."""
    with open_as(operator) as runtime:
        member = members.set_member(runtime, check_instance_id(instance, "INSTANCE"), user, role.lower())
    if as_json:
        print_json(member)
    else:
        tell(f"{member['name']} is {member['role']} of {instance}.")


@people.command("remove")
def remove(instance: Instance, user: User, operator: AsOperator = False) -> None:
    """Take a user's role away; the tokens that they minted for front ends are revoked."""
    with open_as(operator) as runtime:
        members.remove_member(runtime, check_instance_id(instance, "INSTANCE"), user)
    tell("Removed.")


@front_ends.command("list")
def show_tokens(instance: Instance, as_json: AsJson = False) -> None:
    """List an instance's tokens for front ends, the latest first."""
    with open_domain() as runtime:
        _print_tokens(api_tokens.list_front_ends(runtime, check_instance_id(instance, "INSTANCE")), as_json)


@front_ends.command("mint")
def mint(
    instance: Instance,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    task: Annotated[str | None, typer.Option("--task", help="The one task that it shows.")] = None,
    acts: Annotated[list[str] | None, typer.Option("--act", help="What it allows besides instance.read.")] = None,
    fields: Annotated[list[str] | None, typer.Option("--field", help="A field that it shows; all by default.")] = None,
    lifetime: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="How long, such as 8h.")] = None,
    as_json: AsJson = False,
) -> None:
    """Mint a token; it is printed this once."""
    with open_domain() as runtime:
        wish = FrontEndWish(
            name,
            check_instance_id(instance, "INSTANCE"),
            task_id=task,
            acts=sorted({"instance.read", *(acts or [])}),
            fields=fields,
            lifetime=None if lifetime is None else parse_duration(lifetime, "--for"),
        )
        minted = api_tokens.mint_front_end(runtime, Tokens(runtime), wish)
    if as_json:
        print_json({"token": minted.view, "secret": minted.secret})
    else:
        print(minted.secret)
        tell(f"Token {minted.view['id']}, good until {when(minted.view['expires_at'])}.")


@front_ends.command("revoke")
def revoke(instance: Instance, token: Annotated[str, typer.Argument(help="Id of the token.")]) -> None:
    """Revoke a token; its live connections end within two seconds."""
    with open_domain() as runtime:
        api_tokens.revoke_front_end(runtime, check_instance_id(instance, "INSTANCE"), token)
    tell("Revoked.")


def _print_members(found: Iterable[MemberView], as_json: bool) -> None:
    if as_json:
        for member in found:
            print_json(member)
        return
    _print_lines([(member["name"], member["role"], when(member["created_at"])) for member in found], "no members")


def _print_tokens(found: Iterable[TokenView], as_json: bool) -> None:
    if as_json:
        for token in found:
            print_json(token)
        return
    rows = [(token["id"], token["name"], token["task_id"] or "", when(token["expires_at"])) for token in found]
    _print_lines(rows, "no tokens")


def _print_lines(rows: Sequence[Sequence[str]], nothing: str) -> None:
    if not rows:
        tell(nothing)
    for row in rows:
        console().print("  ".join(row), markup=False, highlight=False)
