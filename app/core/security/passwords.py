"""Passwords: argon2id, so that whoever gets hold of a hash has to work for each guess. Beside the road.

An unknown user costs the same work as a wrong password, so that the time of the answer tells nothing.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, TooFast
from swallowtail.app.core.process.worker_thread import Offload, here

#: Seconds that somebody waits for their turn before they are asked to come again.
_TURN = 5.0


class Passwords:
    """Hashes and checks passwords, a few at a time: each takes its memory and its share of a processor."""

    def __init__(self, settings: Settings, offload: Offload = here) -> None:
        """`offload` computes the hashes."""
        self._settings = settings
        self._hasher = PasswordHasher(
            time_cost=settings.password_rounds, memory_cost=settings.password_memory_kib, parallelism=1
        )
        self._turns = threading.BoundedSemaphore(settings.password_checks)
        self._offload = offload

    def check(self, password: object, field: str = "password") -> str:
        """Return a password that may be set. Raises InvalidInput."""
        least, most = self._settings.password_min_length, self._settings.password_max_length
        if not isinstance(password, str) or not _is_text(password):
            raise InvalidInput(f"{field} must be text", field=field)
        if not least <= len(password) <= most:
            raise InvalidInput(f"{field} must have {least} to {most} characters", field=field)
        return password

    def hash(self, password: str) -> str:
        """Return what to keep of a password. Raises TooFast when too many others are being hashed."""
        return str(self._take_turn(self._hasher.hash, _normal(password)))

    def verify(self, kept: str | None, password: str) -> bool:
        """Tell whether it is the password of which `kept` was kept; None has none, which takes as long to find out.

        Raises:
            TooFast: too many others are being checked.
        """
        nobody = self._hash_of_nobody
        usable = len(password) <= self._settings.password_max_length and _is_text(password)
        given = _normal(password) if usable else ""
        try:
            fits = bool(self._take_turn(self._hasher.verify, kept or nobody, given))
        except (VerificationError, InvalidHashError):
            return False
        return fits and kept is not None and usable

    def is_outdated(self, kept: str) -> bool:
        """Tell whether a hash was made with other parameters than those that are set now."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _hash_of_nobody(self) -> str:
        return self.hash(secrets.token_urlsafe(32))

    def _take_turn(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if not self._turns.acquire(timeout=_TURN):
            raise TooFast("too many passwords are being checked; try again in a moment", retry_after=_TURN)
        try:
            return self._offload(work, *arguments)
        finally:
            self._turns.release()


def _is_text(password: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in password)


def _normal(password: str) -> str:
    # The same password, typed on another keyboard, may come as other code points.
    return unicodedata.normalize("NFKC", password)
