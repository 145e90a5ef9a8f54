"""The keys that sign sessions, tokens and messages: the current one, and the previous one for verification.

An embedded deployment creates its key once and stores it in `var/secret.key`, so that every process has the same key.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SettingsError

FILE_NAME = "secret.key"
_NEEDED = (
    "SWALLOWTAIL_SECRET_KEY: needed where callers must authenticate and the database is not the embedded one; "
    "give every process the same value, such as the output of `openssl rand -hex 32`"
)


class SigningKeys:
    """The keys by id, the current one first; a key file is read or created on first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check(self) -> None:
        """Check at the start that the keys that a process needs exist. Raises SettingsError."""
        settings = self._settings
        if settings.is_open:
            return
        if self.is_set:
            _ = self.by_id
        elif not settings.jwks_url:
            raise SettingsError(_NEEDED, field="SWALLOWTAIL_SECRET_KEY")

    @property
    def is_set(self) -> bool:
        """Whether every process has the same key. Without one, only tokens of a provider can be verified."""
        return bool(self._settings.secret_key.get_secret_value()) or self._settings.database_url is None

    @property
    def present(self) -> tuple[str, str]:
        """The id and the key for signing. Raises SettingsError."""
        return next(iter(self.by_id.items()))

    @cached_property
    def by_id(self) -> dict[str, str]:
        """Every key for verifying. Raises SettingsError."""
        settings = self._settings
        keys = [settings.secret_key.get_secret_value()]
        if not keys[0]:
            if not self.is_set:
                raise SettingsError(_NEEDED, field="SWALLOWTAIL_SECRET_KEY")
            keys = [_load_key(settings.var / FILE_NAME)]
        keys += [key for key in [settings.secret_key_previous.get_secret_value()] if key]
        return {_name(key): key for key in keys}


def _name(key: str) -> str:
    """Return the id of a key, which does not reveal the key."""
    return hashlib.sha256(b"swallowtail key id\0" + key.encode()).hexdigest()[:16]


def _load_key(path: Path) -> str:
    """Return the key in a file, created by the first of all processes."""
    try:
        if not path.exists():
            _create_key(path)
        _check_privacy(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as fault:
        raise SettingsError(f"SWALLOWTAIL_SECRET_KEY: {path} cannot be used: {fault}") from None
    if len(key) < 32:
        raise SettingsError(f"SWALLOWTAIL_SECRET_KEY: {path} has no key; remove it to create a new one")
    return key


def _create_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link appears with its whole content, and only the first process succeeds.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _check_privacy(path: Path) -> None:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SettingsError(f"SWALLOWTAIL_SECRET_KEY: others can read {path}; make it 0600, or remove it for a new key")
