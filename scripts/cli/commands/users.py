"""Commands for users, available to superusers and to the operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.identity import user_passwords, users
from swallowtail.app.core.identity.users import Identity
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.identities import UserView
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.open_runtime import open_anonymous_runtime, open_runtime_as
from swallowtail.scripts.cli.options import AsJson, AsOperator
from swallowtail.scripts.cli.paging import read_pages
from swallowtail.scripts.cli.printing import print_json, print_list, print_note, print_users
from swallowtail.scripts.cli.prompts import ask_password

commands = typer.Typer(cls=CommandGroup, help="List and manage users, and set passwords.")

Name = Annotated[str, typer.Argument(help="Name of the user.")]


@commands.callback(invoke_without_command=True)
def show_users(context: typer.Context, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """List users by name."""
    if context.invoked_subcommand is not None:
        return
    with open_runtime_as(operator) as runtime:
        read = partial(users.list_users, runtime)
        listed = read_pages(lambda limit, after: read(limit=limit, after=after), runtime.settings.max_page_size)
    print_list(listed, as_json, print_users)


@commands.command("create")
def create(
    name: Name,
    superuser: Annotated[
        bool, typer.Option("--superuser", help="The user may manage users and the deployment.")
    ] = False,
    issuer: Annotated[
        str | None, typer.Option(help="URL of the identity provider that authenticates the user.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="The user's id at the identity provider.")] = None,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Create a user. The password is typed or read from standard input.

    The operator creates the first user of a deployment without signing in; it must be a superuser.
    """
    if (issuer is None) != (subject is None):
        raise InvalidInput("--issuer and --subject must be used together", field="--subject" if issuer else "--issuer")
    with _open_for_creation(operator, superuser=superuser) as runtime:
        identity = Identity(issuer, subject) if issuer is not None and subject is not None else None
        users.check_name(name)
        password = None if identity else ask_password(twice=True)
        created = users.create_user(runtime, name, password, is_superuser=superuser, identity=identity)
    _print(created, f"Created {created['name']}.", as_json=as_json)


@commands.command("disable")
def disable(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Disable a user. All sessions and tokens of the user end."""
    with open_runtime_as(operator) as runtime:
        view = users.disable_user(runtime, name)
    _print(view, f"{view['name']} is disabled.", as_json=as_json)


@commands.command("enable")
def enable(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Enable a disabled user. Revoked sessions and tokens stay revoked."""
    with open_runtime_as(operator) as runtime:
        view = users.enable_user(runtime, name)
    _print(view, f"{view['name']} is enabled.", as_json=as_json)


@commands.command("promote")
def promote(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Make a user a superuser. Superusers manage users and the deployment."""
    with open_runtime_as(operator) as runtime:
        view = users.promote_user(runtime, name)
    _print(view, f"{view['name']} is a superuser.", as_json=as_json)


@commands.command("demote")
def demote(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Make a superuser an ordinary user. The last superuser cannot be demoted."""
    with open_runtime_as(operator) as runtime:
        view = users.demote_user(runtime, name)
    _print(view, f"{view['name']} is no longer a superuser.", as_json=as_json)


@commands.command("password")
def password(
    name: Annotated[str | None, typer.Argument(help="Name of the user; your own password if omitted.")] = None,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Change a user's password, or your own. It is typed or read from standard input."""
    with open_runtime_as(operator) as runtime:
        if name is None:
            current = ask_password("Current password")
            view = user_passwords.change_own_password(runtime, current, ask_password("New password", twice=True))
        else:
            view = user_passwords.set_password(runtime, name, ask_password("New password", twice=True))
    _print(view, f"Changed the password of {view['name']}; sessions and tokens have ended.", as_json=as_json)


@contextmanager
def _open_for_creation(operator: bool, *, superuser: bool) -> Iterator[Runtime]:
    """Open the runtime, for the operator as long as there are no users who could sign in."""
    with open_anonymous_runtime() as runtime, runtime.db.read() as session:
        is_first = not users.has_users(session) and not runtime.settings.is_open
    if is_first and not superuser:
        raise InvalidInput("the first user must be a superuser", field="--superuser")
    with open_runtime_as(operator or is_first) as runtime:
        yield runtime


def _print(view: UserView, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        print(view["id"])
        print_note(text)
