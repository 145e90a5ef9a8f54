"""Hashes and verifies passwords with argon2id.

An unknown user costs the same work as a wrong password, so that the response time reveals nothing.
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
from swallowtail.app.core.process.offload import Offload, run_here

#: Longest wait for a free slot, in seconds.
_LONGEST_WAIT = 5.0


class Passwords:
    """Hashes and verifies passwords, a few at a time: each needs memory and a processor."""

    def __init__(self, settings: Settings, offload: Offload = run_here) -> None:
        """`offload` computes the hashes."""
        self._settings = settings
        self._hasher = PasswordHasher(
            time_cost=settings.password_rounds, memory_cost=settings.password_memory_kib, parallelism=1
        )
        self._slots = threading.BoundedSemaphore(settings.password_checks)
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
        """Return the hash of a password. Raises TooFast while too many others are hashed."""
        return str(self._run_in_slot(self._hasher.hash, _normal(password)))

    def verify(self, stored: str | None, password: str) -> bool:
        """Return whether a password matches a hash; None never matches, in the same time. Raises TooFast."""
        dummy = self._dummy_hash
        usable = len(password) <= self._settings.password_max_length and _is_text(password)
        normal = _normal(password) if usable else ""
        try:
            fits = bool(self._run_in_slot(self._hasher.verify, stored or dummy, normal))
        except (VerificationError, InvalidHashError):
            return False
        return fits and stored is not None and usable

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _dummy_hash(self) -> str:
        return self.hash(secrets.token_urlsafe(32))

    def _run_in_slot(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if not self._slots.acquire(timeout=_LONGEST_WAIT):
            raise TooFast("too many passwords are being checked; try again in a moment", retry_after=_LONGEST_WAIT)
        try:
            return self._offload(work, *arguments)
        finally:
            self._slots.release()


def _is_text(password: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in password)


def _normal(password: str) -> str:
    # Keyboards may send the same password as different code points.
    return unicodedata.normalize("NFKC", password)
