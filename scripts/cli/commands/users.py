"""Commands for users, available to superusers and to the operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.options import AsJson, AsOperator
from swallowtail.scripts.cli.output.printing import Json, print_list, print_result
from swallowtail.scripts.cli.output.tables import print_users
from swallowtail.scripts.cli.prompts import ask_password

if TYPE_CHECKING:
    from swallowtail.app.core.runtime import Runtime

# Functions import what works on the database: `--help` must not take a second.

commands = typer.Typer(cls=CommandGroup, help="List the users; with a command, manage users and set passwords.")

#: Users that are read at once.
_PAGE = 200
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]


@commands.callback(invoke_without_command=True)
def show_users(context: typer.Context, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """List users by name."""
    if context.invoked_subcommand is not None:
        return
    from swallowtail.app.core.identity import users
    from swallowtail.scripts.cli.open_runtime import open_runtime_as

    listed, cursor = [], None
    with open_runtime_as(operator) as runtime:
        while True:
            page, cursor = users.list_users(runtime, limit=_PAGE, after=cursor)
            listed += page
            if cursor is None:
                break
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
    subject: Annotated[str | None, typer.Option(metavar="SUBJECT", help="Id of the user at the provider.")] = None,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Create a user. The password is typed or read from standard input.

    The operator creates the first user of a deployment without signing in; it must be a superuser.
    """
    from swallowtail.app.core.identity import users

    if (issuer is None) != (subject is None):
        raise InvalidInput("--issuer and --subject must be used together", field="--subject" if issuer else "--issuer")
    with _open_for_creation(operator, superuser=superuser) as runtime:
        identity = users.Identity(issuer, subject) if issuer is not None and subject is not None else None
        users.check_name(name)
        password = None if identity else ask_password(twice=True)
        created = users.create_user(runtime, name, password, is_superuser=superuser, identity=identity)
    print_result(created, f"Created {created['name']}.", as_json)


def _add_change(command: str, change: Callable[[Any, Runtime, str], Json], help_text: str, done: str) -> None:
    """Add a command that changes the state of one user; `change` gets the service, the runtime and the name."""

    @commands.command(command, help=help_text)
    def change_user(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
        from swallowtail.app.core.identity import users
        from swallowtail.scripts.cli.open_runtime import open_runtime_as

        with open_runtime_as(operator) as runtime:
            view = change(users, runtime, name)
        print_result(view, f"{view['name']} is {done}.", as_json)


_DISABLE = "Disable a user. All sessions and tokens of the user end."
_ENABLE = "Enable a disabled user. Revoked sessions and tokens stay revoked."
_SUPERUSER = "Make a user a superuser. Superusers manage users and the deployment."
_ORDINARY = "Make a superuser an ordinary user. The last superuser cannot be demoted."
_add_change("disable", lambda users, runtime, name: users.disable_user(runtime, name), _DISABLE, "disabled")
_add_change("enable", lambda users, runtime, name: users.enable_user(runtime, name), _ENABLE, "enabled")
_add_change(
    "promote",
    lambda users, runtime, name: users.set_superuser(runtime, name, is_superuser=True),
    _SUPERUSER,
    "a superuser",
)
_add_change(
    "demote",
    lambda users, runtime, name: users.set_superuser(runtime, name, is_superuser=False),
    _ORDINARY,
    "no longer a superuser",
)


@commands.command("password")
def password(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the user; your own password if omitted.")
    ] = None,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Change a user's password, or your own. It is typed or read from standard input."""
    from swallowtail.app.core.identity import user_passwords
    from swallowtail.scripts.cli.open_runtime import open_runtime_as

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
    from swallowtail.app.core.identity import users
    from swallowtail.scripts.cli.open_runtime import open_anonymous_runtime, open_runtime_as

    with open_anonymous_runtime() as (runtime, _), runtime.db.read() as session:
        is_first = not users.has_users(session) and not runtime.settings.is_open
    if is_first and not superuser:
        raise InvalidInput("the first user must be a superuser", field="--superuser")
    with open_runtime_as(operator or is_first) as runtime:
        yield runtime
