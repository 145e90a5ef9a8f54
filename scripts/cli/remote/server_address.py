"""Chooses the server of a command, and the token that is shown to it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from swallowtail.app.core.errors import InvalidInput, NotFound
from swallowtail.scripts.cli.remote.profiles import Profiles, load_profiles

_NAMES = frozenset({"url", "profile", "token", "token_file", "host", "port", "url_prefix"})


@dataclass
class ServerOptions:
    """The options `--url` and `--profile`, before or after the command."""

    url: str | None = None
    profile: str | None = None


#: Those of this process's command.
options = ServerOptions()


@dataclass(frozen=True)
class Server:
    """A server of commands."""

    url: str
    token: str | None = field(repr=False)
    #: Name of the profile with this URL, if a profile was chosen.
    profile: str | None
    #: Where the URL is from, for messages.
    origin: str
    #: Whether this is the deployment of the working directory.
    is_own: bool = False


def choose_server() -> Server:
    """Return the server by `--url`, `--profile`, the settings, the default profile, or this folder's deployment.

    Raises:
        SettingsError: the file of profiles cannot be used.
        InvalidInput, NotFound: the options name no server.
    """
    values = read_variables()
    profiles = load_profiles(values.get("token_file", ""))
    server = _find(values, profiles)
    token = values.get("token") or server.token
    return Server(server.url, token, server.profile, server.origin, server.is_own)


def own_url(values: dict[str, str]) -> str:
    """Return the URL of the deployment in the working directory."""
    host, port = values.get("host") or "127.0.0.1", values.get("port") or "8000"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 # an address to connect to
    prefix = values.get("url_prefix", "").strip("/")
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return f"{address}/{prefix}" if prefix else address


def check_server_url(url: str, field_name: str) -> str:
    """Return a URL without the slash at its end. Raises InvalidInput."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.username is None and not parts.query
    except ValueError:
        is_usable = False
    if not is_usable:
        raise InvalidInput("must be a URL such as https://agents.example.org", field=field_name)
    return url.rstrip("/")


def read_variables() -> dict[str, str]:
    """Return the values that the command line needs, from the environment and `.env`."""
    try:
        from swallowtail.app.core.config.environment import read_values
    except ModuleNotFoundError:  # without the server's packages, `.env` is not read
        prefix = "SWALLOWTAIL_"
        return {name: os.environ[prefix + name.upper()] for name in _NAMES if prefix + name.upper() in os.environ}
    return read_values(_NAMES)


def _find(values: dict[str, str], profiles: Profiles) -> Server:
    if options.url is not None and options.profile is not None:
        raise InvalidInput("cannot be combined with --profile", field="--url")
    if options.url is not None:
        return _of_url(check_server_url(options.url, "--url"), profiles, "--url")
    if options.profile is not None:
        return _of_profile(options.profile, profiles, "--profile")
    if values.get("url"):
        return _of_url(check_server_url(values["url"], "SWALLOWTAIL_URL"), profiles, "SWALLOWTAIL_URL")
    if values.get("profile"):
        return _of_profile(values["profile"], profiles, "SWALLOWTAIL_PROFILE")
    if profiles.default is not None:
        return _of_profile(profiles.default, profiles, "")
    url = own_url(values)
    return Server(url, profiles.token_for(url), None, "this folder's deployment", is_own=True)


def _of_url(url: str, profiles: Profiles, origin: str) -> Server:
    return Server(url, profiles.token_for(url), None, origin)


def _of_profile(name: str, profiles: Profiles, field_name: str) -> Server:
    if name not in profiles.by_name:
        known = ", ".join(sorted(profiles.by_name)) or "none; `swallowtail login URL` makes one"
        raise NotFound(f"there is no profile {name!r} (known: {known})", field=field_name)
    profile = profiles.by_name[name]
    return Server(profile.url, profile.token, name, f"profile {name}")
