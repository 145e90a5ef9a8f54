"""The token of whoever uses the command: where it is kept, and that nobody else can read it."""

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
    """Return the token to show: that of the environment, else that of `login`; None without either.

    Raises:
        SettingsError: the file can be read by others, or not by us.
    """
    return settings.token.get_secret_value() or read_token(settings)


def read_token(settings: Settings) -> str | None:
    """Return the token that `login` kept; None without one. Raises SettingsError."""
    path = token_path(settings)
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_IMODE(found.st_mode) & 0o077:
                raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: others can read {path}; run: chmod 600 {path}")
            if found.st_uid != os.geteuid():
                raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: {path} belongs to somebody else")
            return file.read(_LONGEST).decode("ascii", "replace").strip() or None
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: cannot read {path}: {fault.strerror or fault}") from None


def keep_token(settings: Settings, token: str) -> Path:
    """Keep a token for the next commands, readable by its owner alone; returns where. Raises SettingsError."""
    path = token_path(settings)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # Never readable by others, not for a moment, whatever was there before.
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(token + "\n")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as fault:
        raise SettingsError(f"SWALLOWTAIL_TOKEN_FILE: cannot write {path}: {fault.strerror or fault}") from None
    return path


def drop_token(settings: Settings) -> None:
    """Keep no token any more."""
    token_path(settings).unlink(missing_ok=True)


def token_path(settings: Settings) -> Path:
    """Return where the token is kept: each deployment has a file of its own, so that none gets another's token."""
    if settings.token_file:
        return Path(settings.token_file).expanduser()
    deployment = hashlib.sha256(settings.database.encode()).hexdigest()[:16]
    return Path(typer.get_app_dir("swallowtail")) / f"token-{deployment}"
