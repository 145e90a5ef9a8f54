"""Commands for the signed-in user: `login`, `logout`, `whoami` and personal tokens."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from swallowtail.app.core.audit.denied_requests import DeniedRequests
from swallowtail.app.core.errors import SwallowtailError, Unauthenticated
from swallowtail.app.core.events import stamp
from swallowtail.app.core.identity import api_tokens, user_passwords
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.users import user_actor
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import ANONYMOUS
from swallowtail.app.core.security.permissions import require_authenticated
from swallowtail.app.core.tables.auth import User
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.open_runtime import make_caller, open_anonymous_runtime, open_runtime
from swallowtail.scripts.cli.options import AsJson
from swallowtail.scripts.cli.printing import print_json, print_list, print_note, print_secret, print_tokens
from swallowtail.scripts.cli.prompts import ask_name, ask_password
from swallowtail.scripts.cli.task_input import parse_duration
from swallowtail.scripts.cli.token_store import delete_token, read_token, store_token

token_commands = typer.Typer(cls=CommandGroup, help="List your personal tokens; with a command, create or revoke one.")

_HOUR = 3600.0
Lifetime = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="Lifetime of the token, such as 30d.")]


def login(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="User name; asked for if omitted.")] = None,
    lifetime: Lifetime = None,
) -> None:
    """Sign in with name and password. They are typed or read from standard input; later commands act as this user."""
    seconds = None if lifetime is None else parse_duration(lifetime, "--for")
    with open_anonymous_runtime() as (runtime, tokens):
        settings = runtime.settings
        name = ask_name() if name is None else name
        user = _authenticate(runtime.by(make_caller(ANONYMOUS)), name)
        as_user = runtime.by(make_caller(user_actor(user)))
        longest = min(settings.session_hours * _HOUR, settings.personal_token_days * 24 * _HOUR)
        lifetime_seconds = longest if seconds is None else seconds
        new = NewToken(name=f"swallowtail login on {socket.gethostname()}"[:200], lifetime=lifetime_seconds)
        created = api_tokens.issue_personal(as_user, new)
        _revoke_stored_token(runtime, tokens)
        path = store_token(settings, created["secret"])
    print_note(f"Signed in as {user.name} until {created['token']['expires_at']}. The token is stored in {path}.")


def logout() -> None:
    """Sign out. Revokes and deletes the stored token."""
    with open_anonymous_runtime() as (runtime, tokens):
        had_token = _revoke_stored_token(runtime, tokens)
        delete_token(runtime.settings)
    print_note("Signed out." if had_token else "You were not signed in.")


def whoami(as_json: AsJson = False) -> None:
    """Show which user the command acts as."""
    with open_runtime() as runtime:
        actor = runtime.caller.actor
    require_authenticated(actor)
    if as_json:
        acts = None if actor.acts is None else sorted(actor.acts)
        identity = {"kind": actor.kind, "id": actor.id, "name": actor.name, "is_superuser": actor.is_superuser}
        scope = {"acts": acts, "instance_id": actor.instance_id, "expires_at": stamp(actor.expires_at)}
        print_json({**identity, **scope})
    else:
        print(actor.name)
        if actor.user_id:
            print_note(f"user id {actor.user_id}")
        print_note(f"until {stamp(actor.expires_at)}" if actor.expires_at else "no sign-in required here")


@token_commands.callback(invoke_without_command=True)
def show_tokens(context: typer.Context, as_json: AsJson = False) -> None:
    """List your valid personal tokens, latest first."""
    if context.invoked_subcommand is not None:
        return
    with open_runtime() as runtime:
        print_list(api_tokens.list_own(runtime), as_json, print_tokens)


@token_commands.command("create")
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
        str | None, typer.Option("--instance", "-i", metavar="ID", help="Limit the token to this instance.")
    ] = None,
    lifetime: Lifetime = None,
    as_json: AsJson = False,
) -> None:
    """Create a personal token with which a program acts as you. Its secret is printed only once."""
    seconds = None if lifetime is None else parse_duration(lifetime, "--for")
    new = NewToken(name=name, acts=acts or None, instance_id=instance, lifetime=seconds)
    with open_runtime() as runtime:
        created = api_tokens.issue_personal(runtime, new)
    print_secret(created, as_json)


@token_commands.command("revoke")
def revoke(token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="Id of the token.")]) -> None:
    """Revoke one of your personal tokens."""
    with open_runtime() as runtime:
        api_tokens.revoke_own(runtime, token_id)
    print_note("Revoked.")


def _authenticate(runtime: Runtime, name: str) -> User:
    try:
        return user_passwords.authenticate(runtime, name, ask_password())
    except Unauthenticated:
        DeniedRequests(runtime.db, runtime.settings).note_failed_login(runtime.caller, name)
        raise


def _revoke_stored_token(runtime: Runtime, tokens: Tokens) -> bool:
    """Revoke the token that `login` stored. Returns whether there was one."""
    token = read_token(runtime.settings)
    if token is None:
        return False
    try:
        actor = tokens.read(token)
        api_tokens.revoke_own(runtime.by(make_caller(actor)), actor.token_id or "")
    except SwallowtailError as error:
        print_note(f"The stored token could not be revoked: {error.message}.")
    return True
