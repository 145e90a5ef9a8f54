"""The commands about users, for superusers; and for the operator of the machine, who has the database anyhow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.users import Identity
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.identities import UserView
from swallowtail.scripts.cli.exit_codes import Commands
from swallowtail.scripts.cli.open_runtime import open_as, open_unknown
from swallowtail.scripts.cli.options import AsJson, AsOperator
from swallowtail.scripts.cli.printing import print_json, print_users, tell
from swallowtail.scripts.cli.prompts import ask_password

people = typer.Typer(cls=Commands, help="List users, or make one known, disable, enable or give a password.")

Name = Annotated[str, typer.Argument(help="Name of the user.")]


@people.callback(invoke_without_command=True)
def show_users(context: typer.Context, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """List users by name."""
    if context.invoked_subcommand is not None:
        return
    found: list[UserView] = []
    with open_as(operator) as runtime:
        after = None
        while True:
            page, after = users.list_users(runtime, limit=runtime.settings.max_page_size, after=after)
            found += page
            if after is None:
                break
    if as_json:
        for one in found:
            print_json(one)
    else:
        print_users(found)


@people.command("create")
def create(
    name: Name,
    superuser: Annotated[bool, typer.Option("--superuser", help="They may keep users.")] = False,
    issuer: Annotated[str | None, typer.Option(help="The identity provider that vouches for them.")] = None,
    subject: Annotated[str | None, typer.Option(help="Who they are to it.")] = None,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Make a user known; the password is asked for, or read from standard input.

    The first user of a deployment is made by its operator, without signing in, and must be a superuser.
    """
    if (issuer is None) != (subject is None):
        raise InvalidInput("--issuer and --subject belong together", field="--subject" if issuer else "--issuer")
    with _opened_for_first(operator, superuser=superuser) as runtime:
        identity = Identity(issuer, subject) if issuer is not None and subject is not None else None
        users.check_name(name)
        password = None if identity else ask_password(twice=True)
        made = users.create_user(runtime, name, password, is_superuser=superuser, identity=identity)
    _tell(made, f"{made['name']} is known.", as_json=as_json)


@people.command("disable")
def disable(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Let a user in no more: what was issued to them is worth nothing."""
    with open_as(operator) as runtime:
        view = users.disable_user(runtime, name)
    _tell(view, f"{view['name']} is disabled.", as_json=as_json)


@people.command("enable")
def enable(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Let a user in again; what was revoked stays so."""
    with open_as(operator) as runtime:
        view = users.enable_user(runtime, name)
    _tell(view, f"{view['name']} is enabled.", as_json=as_json)


@people.command("promote")
def promote(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Make a user a superuser, who keeps users and the deployment."""
    with open_as(operator) as runtime:
        view = users.make_superuser(runtime, name)
    _tell(view, f"{view['name']} is a superuser.", as_json=as_json)


@people.command("demote")
def demote(name: Name, operator: AsOperator = False, as_json: AsJson = False) -> None:
    """Have a user be a superuser no more; the last one stays."""
    with open_as(operator) as runtime:
        view = users.make_ordinary(runtime, name)
    _tell(view, f"{view['name']} is no superuser.", as_json=as_json)


@people.command("password")
def password(
    name: Annotated[str | None, typer.Argument(help="Name of the user; oneself when left out.")] = None,
    operator: AsOperator = False,
    as_json: AsJson = False,
) -> None:
    """Give a user, or oneself, another password; it is asked for, or read from standard input."""
    with open_as(operator) as runtime:
        if name is None:
            present = ask_password("Present password")
            view = users.change_own_password(runtime, present, ask_password("New password", twice=True))
        else:
            view = users.set_password(runtime, name, ask_password("New password", twice=True))
    _tell(view, f"{view['name']} has another password; sessions and tokens have ended.", as_json=as_json)


@contextmanager
def _opened_for_first(operator: bool, *, superuser: bool) -> Iterator[Runtime]:
    """Open the domain, for the operator as long as there is nobody who could sign in."""
    with open_unknown() as runtime, runtime.db.read() as session:
        is_first = not users.has_users(session) and not runtime.settings.is_open
    if is_first and not superuser:
        raise InvalidInput("the first user must be a superuser, or nobody could make others known", field="--superuser")
    with open_as(operator or is_first) as runtime:
        yield runtime


def _tell(view: UserView, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        print(view["id"])
        tell(text)
