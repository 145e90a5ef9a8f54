"""Commands for users, available to superusers and to the operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from swallowtail.scripts.cli.printing import print_list, print_result, print_users
from swallowtail.scripts.cli.prompts import ask_password
from swallowtail.scripts.cli.reads import read_pages

commands = typer.Typer(cls=CommandGroup, help="List the users; with a command, manage users and set passwords.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


@commands.callback(invoke_without_command=True)
def show_users(context: typer.Context, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """List users by name."""
    if context.invoked_subcommand is not None:
        return
    with open_runtime_as(operator) as runtime:
        listed = read_pages(lambda limit, cursor: users.list_users(runtime, limit=limit, after=cursor))
    print_list(listed, as_json, print_users)


@commands.command("create")
def create(
    name: Name,
    superuser: Annotated[
        bool, typer.Option("--superuser", help="The user may manage users and the deployment.")
    ] = False,
    issuer: Annotated[
        str | None, typer.Option(metavar="URL", help="URL of the identity provider that authenticates the user.")
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="ID", help="The user's id at the identity provider.")] = None,
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
    print_result(created, f"Created {created['name']}.", as_json)


def _add_change(command: str, change: Callable[[Runtime, str], UserView], help_text: str, done: str) -> None:
    """Add a command that changes the state of one user."""

    @commands.command(command, help=help_text)
    def change_user(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
        with open_runtime_as(operator) as runtime:
            view = change(runtime, name)
        print_result(view, f"{view['name']} is {done}.", as_json)


_add_change("disable", users.disable_user, "Disable a user. All sessions and tokens of the user end.", "disabled")
_add_change("enable", users.enable_user, "Enable a disabled user. Revoked sessions and tokens stay revoked.", "enabled")
_SUPERUSER = "Make a user a superuser. Superusers manage users and the deployment."
_ORDINARY = "Make a superuser an ordinary user. The last superuser cannot be demoted."
_add_change("promote", partial(users.set_superuser, is_superuser=True), _SUPERUSER, "a superuser")
_add_change("demote", partial(users.set_superuser, is_superuser=False), _ORDINARY, "no longer a superuser")


@commands.command("password")
def password(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the user; your own password if omitted.")
    ] = None,
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
    print_result(view, f"Changed the password of {view['name']}; sessions and tokens have ended.", as_json)


@contextmanager
def _open_for_creation(operator: bool, *, superuser: bool) -> Iterator[Runtime]:
    """Open the runtime, for the operator as long as there are no users who could sign in."""
    with open_anonymous_runtime() as (runtime, _), runtime.db.read() as session:
        is_first = not users.has_users(session) and not runtime.settings.is_open
    if is_first and not superuser:
        raise InvalidInput("the first user must be a superuser", field="--superuser")
    with open_runtime_as(operator or is_first) as runtime:
        yield runtime
