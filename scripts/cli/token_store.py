"""Stores the token of the signed-in user in a file that only its owner can read."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path

import typer

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SettingsError

_LONGEST = 16_384


def find_token(settings: Settings) -> str | None:
    """Return the token of the environment, else the one that `login` stored. Raises SettingsError."""
    return settings.token.get_secret_value() or read_token(settings)


def read_token(settings: Settings) -> str | None:
    """Return the token that `login` stored; None without one. Raises SettingsError."""
    path = token_path(settings)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: others can read {path}; run: chmod 600 {path}")
            if status.st_uid != os.geteuid():
                raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: {path} belongs to another user")
            return file.read(_LONGEST).decode("ascii", "replace").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: cannot read {path}: {error.strerror or error}") from None


def store_token(settings: Settings, token: str) -> Path:
    """Store a token for later commands; return its path. Raises SettingsError."""
    path = token_path(settings)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # A new file: others can never read it, even if an existing one has another mode.
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(token + "\n")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: cannot write {path}: {error.strerror or error}") from None
    return path


def delete_token(settings: Settings) -> None:
    """Delete the stored token."""
    token_path(settings).unlink(missing_ok=True)


def token_path(settings: Settings) -> Path:
    """Return the path of the token; each deployment has its own file, so that none receives another's token."""
    if settings.token_file:
        return Path(settings.token_file).expanduser()
    deployment = hashlib.sha256(settings.database.encode()).hexdigest()[:16]
    return Path(typer.get_app_dir("swallowtail")) / f"token-{deployment}"
