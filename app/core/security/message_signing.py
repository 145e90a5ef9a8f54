"""Signs messages in Redis and in the broker, so that processes can reject messages of other programs.

Anyone who may publish on a channel or send to the queue can write anything. Where that is not trusted, our processes
put an HMAC-SHA-256 over channel and message in front of each message, made with the deployment's key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import cached_property

import orjson

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.security.signing_keys import SigningKeys

#: The first byte of a signed message; no JSON begins with it.
MARK = b"~"
_LENGTH = len(MARK) + 64


class MessageSigner:
    """Signs and verifies messages. Without `is_strict` it neither signs nor requires a signature."""

    def __init__(self, settings: Settings, *, is_strict: bool) -> None:
        """Raises SettingsError if the key is missing."""
        self._keys = SigningKeys(settings)
        self.is_strict = is_strict
        if is_strict:
            _ = self._secrets

    def wrap(self, place: str, message: bytes) -> bytes:
        """Return the message as it is sent to a place, such as a channel."""
        return MARK + self.mark(place, message).encode() + message if self.is_strict else message

    def unwrap(self, place: str, message: bytes) -> bytes | None:
        """Return the message received at a place, or None if no process of ours signed it for this place."""
        if not message.startswith(MARK):
            return None if self.is_strict else message
        signature, bare = message[len(MARK) : _LENGTH].decode("latin-1"), message[_LENGTH:]
        return bare if not self.is_strict or self.is_ours(place, bare, signature) else None

    def mark(self, place: str, message: bytes) -> str:
        """Return the signature of a message: 64 hexadecimal digits."""
        return _make(self._secrets[0], place, message)

    def is_ours(self, place: str, message: bytes, mark: str) -> bool:
        """Return whether a signature is of this message at this place, by the current or the previous key."""
        if not mark.isascii():
            return False
        return any(hmac.compare_digest(_make(secret, place, message), mark) for secret in self._secrets)

    @cached_property
    def _secrets(self) -> list[bytes]:
        keys = self._keys.by_id.values()
        return [hmac.digest(key.encode(), b"swallowtail messages", hashlib.sha256) for key in keys]


def _make(secret: bytes, place: str, message: bytes) -> str:
    return hmac.new(secret, place.encode() + b"\0" + message, hashlib.sha256).hexdigest()


def wakeup(task_id: str, attempt: int, name: str, limits: Sequence[float | None]) -> bytes:
    """Return the signed content of a wake-up message: everything that a worker acts on.

    `name` is the id of the message, for revoking it; `limits` are the hard and the soft time limit, in seconds.
    """
    return orjson.dumps([task_id, attempt, name, *limits])
