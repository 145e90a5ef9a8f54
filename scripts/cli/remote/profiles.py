"""Stores the servers that the user signed in to, with their tokens, in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path

import typer

from swallowtail.app.core.errors import SettingsError

_LONGEST = 1_000_000


@dataclass(frozen=True)
class Profile:
    """A server, and the token that is shown to it; None for a server that requires no sign-in."""

    url: str
    token: str | None = field(default=None, repr=False)
    user: str | None = None


@dataclass
class Profiles:
    """The profiles by name, and the name of the one that commands use by default."""

    by_name: dict[str, Profile] = field(default_factory=dict)
    default: str | None = None

    def token_for(self, url: str) -> str | None:
        """Return the token of the profile with this URL: no other server is shown it."""
        return next((profile.token for profile in self._ordered() if profile.url == url), None)

    def remove(self, name: str) -> None:
        """Remove a profile; if it was the default, there is no default any more."""
        del self.by_name[name]
        if self.default == name:
            self.default = None

    def _ordered(self) -> list[Profile]:
        names = sorted(self.by_name, key=lambda name: name != self.default)
        return [self.by_name[name] for name in names]


def load_profiles(token_file: str) -> Profiles:
    """Read the profiles; there are none without a file. Raises SettingsError."""
    path = profiles_path(token_file)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: others can read {path}; run: chmod 600 {path}")
            if status.st_uid != os.geteuid():
                raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: {path} belongs to another user")
            return _parse(file.read(_LONGEST), path)
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: cannot read {path}: {error.strerror or error}") from None


def store_profiles(token_file: str, profiles: Profiles) -> Path:
    """Replace the file of profiles, which is deleted if there are none; return its path. Raises SettingsError."""
    path = profiles_path(token_file)
    if not profiles.by_name:
        path.unlink(missing_ok=True)
        return path
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    document = {"default": profiles.default, "profiles": {name: asdict(one) for name, one in profiles.by_name.items()}}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # A new file: others can never read it, even if an existing one has another mode.
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(document, file, indent=2)
                file.write("\n")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: cannot write {path}: {error.strerror or error}") from None
    return path


def profiles_path(token_file: str) -> Path:
    """Return the path of the file of profiles."""
    if token_file:
        return Path(token_file).expanduser()
    return Path(typer.get_app_dir("swallowtail")) / "profiles.json"


def _parse(content: bytes, path: Path) -> Profiles:
    try:
        document = json.loads(content)
        by_name = {str(name): Profile(**fields) for name, fields in document["profiles"].items()}
        return Profiles(by_name, document["default"] if document["default"] in by_name else None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SettingsError(
            f"SWALLOWTAIL_TOKEN_FILE: {path} is no list of profiles; delete it and run `swallowtail login`"
        ) from None
