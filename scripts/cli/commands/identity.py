"""The commands about oneself: login, logout, whoami, and one's own tokens."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from swallowtail.app.core.audit.denied_requests import Denials
from swallowtail.app.core.errors import SwallowtailError, Unauthenticated
from swallowtail.app.core.events import stamp
from swallowtail.app.core.identity import api_tokens, users
from swallowtail.app.core.identity.actors import user_actor
from swallowtail.app.core.identity.api_tokens import PersonalWish
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.identities import TokenView
from swallowtail.app.core.security.permissions import NOBODY, require_known
from swallowtail.app.core.tables.auth import User
from swallowtail.scripts.cli.exit_codes import Commands
from swallowtail.scripts.cli.open_runtime import call_as, open_domain, open_unknown
from swallowtail.scripts.cli.options import AsJson
from swallowtail.scripts.cli.printing import print_json, print_tokens, tell
from swallowtail.scripts.cli.prompts import ask_name, ask_password
from swallowtail.scripts.cli.task_input import parse_duration
from swallowtail.scripts.cli.token_store import drop_token, keep_token, read_token

tokens = typer.Typer(cls=Commands, help="List one's own tokens for programs, or mint or revoke one.")

_HOUR = 3600.0
Lifetime = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="How long it is good, such as 30d.")]


def login(
    name: Annotated[str | None, typer.Argument(help="Name; asked for when left out.")] = None,
    lifetime: Lifetime = None,
) -> None:
    """Sign in by name and password, asked for or read from standard input; later commands act as you."""
    seconds = None if lifetime is None else parse_duration(lifetime, "--for")
    with open_unknown() as runtime:
        settings = runtime.settings
        name = ask_name() if name is None else name
        user = _authenticate(runtime.by(call_as(NOBODY)), name)
        mine = runtime.by(call_as(user_actor(user)))
        longest = min(settings.session_hours * _HOUR, settings.personal_token_days * 24 * _HOUR)
        asked = longest if seconds is None else seconds
        wish = PersonalWish(f"swallowtail login on {socket.gethostname()}"[:200], lifetime=asked)
        minted = api_tokens.mint_personal(mine, wish)
        _revoke_kept(runtime)
        path = keep_token(settings, minted.secret)
    tell(f"You are {user.name} until {minted.view['expires_at']}. The token is in {path}.")


def logout() -> None:
    """Sign out: the token that `login` keeps is revoked and removed."""
    with open_unknown() as runtime:
        there = _revoke_kept(runtime)
        drop_token(runtime.settings)
    tell("You are signed out." if there else "You were not signed in.")


def whoami(as_json: AsJson = False) -> None:
    """Tell who the command acts as."""
    with open_domain() as runtime:
        actor = runtime.caller.actor
    require_known(actor)
    acts = None if actor.acts is None else sorted(actor.acts)
    told = {"kind": actor.kind, "id": actor.id, "name": actor.name, "is_superuser": actor.is_superuser, "acts": acts}
    if as_json:
        print_json({**told, "instance_id": actor.instance_id, "expires_at": stamp(actor.expires_at)})
    else:
        print(actor.name)
        if actor.user_id:
            tell(f"user id {actor.user_id}")
        tell(f"until {stamp(actor.expires_at)}" if actor.expires_at else "nobody has to sign in here")


@tokens.callback(invoke_without_command=True)
def show_tokens(context: typer.Context, as_json: AsJson = False) -> None:
    """List one's own tokens that are good, the latest first."""
    if context.invoked_subcommand is not None:
        return
    with open_domain() as runtime:
        found: list[TokenView] = api_tokens.list_own(runtime)
    if as_json:
        for one in found:
            print_json(one)
    else:
        print_tokens(found)


@tokens.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    acts: Annotated[
        list[str] | None,
        typer.Option("--act", metavar="ACT", help="What it may do at most, such as instance.read; may be given often."),
    ] = None,
    instance: Annotated[str | None, typer.Option("--instance", "-i", help="The one instance that it is for.")] = None,
    lifetime: Lifetime = None,
    as_json: AsJson = False,
) -> None:
    """Mint a token with which a program acts as you; it is printed this once."""
    seconds = None if lifetime is None else parse_duration(lifetime, "--for")
    with open_domain() as runtime:
        minted = api_tokens.mint_personal(runtime, PersonalWish(name, acts or None, instance, seconds))
    if as_json:
        print_json({"token": minted.view, "secret": minted.secret})
    else:
        print(minted.secret)
        tell(f"It is good until {minted.view['expires_at']} and is not shown again. Its id is {minted.view['id']}.")


@tokens.command("revoke")
def revoke(token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of the token.")]) -> None:
    """Revoke one of one's own tokens."""
    with open_domain() as runtime:
        api_tokens.revoke_own(runtime, token_id)
    tell("Revoked.")


def _authenticate(runtime: Runtime, name: str) -> User:
    try:
        return users.authenticate(runtime, name, ask_password())
    except Unauthenticated:
        Denials(runtime.db, runtime.settings).note_failed_login(runtime.caller, name)
        raise


def _revoke_kept(runtime: Runtime) -> bool:
    """Revoke the token that `login` kept, if it is still good. Tells whether there was one."""
    kept = read_token(runtime.settings)
    if kept is None:
        return False
    try:
        actor = Tokens(runtime).read(kept)
        api_tokens.revoke_own(runtime.by(call_as(actor)), actor.token_id or "")
    except SwallowtailError as fault:
        tell(f"The token that was kept could not be revoked: {fault.message}.")
    return True
