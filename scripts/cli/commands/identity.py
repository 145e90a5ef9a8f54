"""Commands for the signed-in user: `login`, `logout`, `whoami` and `profiles`."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from swallowtail.app.core.errors import InvalidInput, NotFound, SwallowtailError, Unauthenticated
from swallowtail.client import errors as api
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.options import AsJson, Lifetime
from swallowtail.scripts.cli.output.printing import print_json, print_list, print_note, when
from swallowtail.scripts.cli.output.tables import print_profiles
from swallowtail.scripts.cli.prompts import ask_name, ask_password, ask_token
from swallowtail.scripts.cli.remote import server_address
from swallowtail.scripts.cli.remote.open_client import api_path, open_client_of
from swallowtail.scripts.cli.remote.profiles import Profile, Profiles, load_profiles, store_profiles
from swallowtail.scripts.cli.remote.server_address import Server, check_server_url, own_url, read_variables
from swallowtail.scripts.cli.remote.server_options import local
from swallowtail.scripts.cli.task_input import parse_duration

profile_commands = typer.Typer(cls=CommandGroup)

_SHORTEST = 60.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
ProfileArgument = Annotated[str, typer.Argument(metavar="PROFILE", help="Name of the profile.")]


def login(
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="Server to sign in to; this folder's deployment if omitted.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="User name; asked for if omitted.")] = None,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Sign in with a token, typed or read from standard input.")
    ] = False,
    lifetime: Lifetime = None,
) -> None:
    """Sign in to a server. Later commands call it, as this user.

    Passwords and tokens are typed or read from standard input. The profile is named after the server, or by --profile;
    the last one that was signed in is the default.
    """
    values = read_variables()
    seconds = None if lifetime is None else parse_duration(lifetime, "--for")
    profiles = load_profiles(values.get("token_file", ""))
    address = _choose_address(url, values, profiles)
    name = server_address.options.profile or urlsplit(address).netloc
    server = Server(address, None, None, address, is_own=address == own_url(values))
    profile = _sign_in(server, user, seconds, with_token=with_token)
    _revoke(profiles.by_name.get(name))
    profiles.by_name[name] = profile
    profiles.default = name
    path = store_profiles(values.get("token_file", ""), profiles)
    who = "No sign-in is required" if profile.token is None else f"Signed in as {profile.user}"
    print_note(f"{who} at {address}. The profile {name} is stored in {path} and is the default.")
    if profile.token is not None and address.startswith("http://") and urlsplit(address).hostname not in _LOOPBACK:
        print_note("Warning: this address has no TLS: others on the way can read the token.")


def logout() -> None:
    """Sign out. Revokes the token of the profile, and removes the profile."""
    values = read_variables()
    server = server_address.choose_server()
    profiles = load_profiles(values.get("token_file", ""))
    name = server.profile or next((n for n, one in profiles.by_name.items() if one.url == server.url), None)
    if name is None:
        print_note("You were not signed in.")
        return
    _revoke(profiles.by_name[name])
    profiles.remove(name)
    store_profiles(values.get("token_file", ""), profiles)
    print_note(f"Signed out of {server.url}; the profile {name} is removed.")


def whoami(as_json: AsJson = False) -> None:
    """Show which user the command acts as, and at which server."""
    server = server_address.choose_server()
    with open_client_of(server) as client:
        caller = client.request("GET", api_path("auth", "whoami"))
    if as_json:
        print_json(caller)
        return
    print(caller["name"])
    if caller["kind"] == "user":
        print_note(f"user id {caller['id']}")
    print_note(f"at {server.url} ({server.origin})")
    print_note(f"until {when(caller['expires_at'])}" if caller["expires_at"] else "no sign-in required here")


@profile_commands.callback(invoke_without_command=True)
@local
def show_profiles(context: typer.Context, as_json: AsJson = False) -> None:
    """List the servers that you signed in to; with a command, choose or remove one."""
    if context.invoked_subcommand is not None:
        return
    profiles = load_profiles(read_variables().get("token_file", ""))
    items = [
        {"name": name, "url": one.url, "user": one.user, "default": name == profiles.default}
        for name, one in sorted(profiles.by_name.items())
    ]
    print_list(items, as_json, print_profiles)


@profile_commands.command("use")
@local
def use(profile: ProfileArgument) -> None:
    """Make a profile the default of later commands."""
    values, profiles = _load_with(profile)
    profiles.default = profile
    store_profiles(values.get("token_file", ""), profiles)
    print_note(f"Commands call {profiles.by_name[profile].url} by default.")


@profile_commands.command("remove")
@local
def remove(profile: ProfileArgument) -> None:
    """Remove a profile. Its token stays valid; `logout` revokes it."""
    values, profiles = _load_with(profile)
    profiles.remove(profile)
    store_profiles(values.get("token_file", ""), profiles)
    print_note("Removed.")


def _load_with(profile: str) -> tuple[dict[str, str], Profiles]:
    values = read_variables()
    profiles = load_profiles(values.get("token_file", ""))
    if profile not in profiles.by_name:
        raise NotFound(f"there is no profile {profile!r}", field="PROFILE")
    return values, profiles


def _choose_address(url: str | None, values: dict[str, str], profiles: Profiles) -> str:
    """Return the URL to sign in to: the argument, `--url`, that of the named profile, or this folder's deployment."""
    url = url or server_address.options.url
    if url is not None and "://" not in url:
        raise InvalidInput(
            "must be a URL such as https://agents.example.org; a user name is given by --user", field="URL"
        )
    if url is not None:
        return check_server_url(url, "URL")
    name = server_address.options.profile
    if name in profiles.by_name:
        return profiles.by_name[name].url
    if name is not None:
        raise InvalidInput(f"is required for the new profile {name}", field="URL")
    return check_server_url(values["url"], "SWALLOWTAIL_URL") if values.get("url") else own_url(values)


def _sign_in(server: Server, user: str | None, lifetime: float | None, *, with_token: bool) -> Profile:
    """Return the profile of a server, with a token that it accepts. Raises Unauthenticated, Unavailable."""
    if with_token:
        token = ask_token()
        with open_client_of(Server(server.url, token, None, server.origin, server.is_own)) as client:
            return Profile(server.url, token, client.request("GET", api_path("auth", "whoami"))["name"])
    with open_client_of(server) as client:
        # Before the password is asked for, so that no other program gets it.
        if _is_open(client) and user is None:
            return Profile(server.url)
        credentials = {"name": ask_name() if user is None else user, "password": ask_password()}
        try:
            session = client.request("POST", api_path("auth", "login"), json=credentials)
        except api.Unauthenticated as error:
            raise Unauthenticated(error.message) from None
        bearer = {"Authorization": f"Bearer {session['access_token']}"}
        ends_in = (datetime.fromisoformat(session["session_expires_at"]) - datetime.now(UTC)).total_seconds()
        new = {
            "name": f"swallowtail login on {socket.gethostname()}"[:200],
            "lifetime": max(ends_in, _SHORTEST) if lifetime is None else lifetime,
        }
        try:
            created = client.request("POST", api_path("tokens"), json=new, headers=bearer)
        finally:
            client.request("POST", api_path("auth", "logout"), headers=bearer)
        return Profile(server.url, created["secret"], session["name"])


def _is_open(client: Any) -> bool:
    """Return whether a server requires no sign-in."""
    try:
        return bool(client.request("GET", api_path("auth", "whoami"))["kind"] == "open")
    except api.Unauthenticated as error:
        # A proxy's answer has no code of ours.
        if error.code.startswith("http_"):
            raise
        return False


def _revoke(profile: Profile | None) -> None:
    """Revoke the token of a profile."""
    if profile is None or profile.token is None:
        return
    try:
        with open_client_of(Server(profile.url, profile.token, None, profile.url)) as client:
            client.request("POST", api_path("auth", "logout"))
    except SwallowtailError as error:
        print_note(f"The stored token could not be revoked: {error.message}.")
