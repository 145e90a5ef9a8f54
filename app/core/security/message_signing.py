"""Signs messages in Redis and in the broker, so that processes can reject messages of other programs.

Every program that may publish on a channel or send to the queue can write any message. If that is not trusted, each
message starts with an HMAC-SHA-256 of channel and message, by the deployment's key.
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

    def wrap(self, channel: str, message: bytes) -> bytes:
        """Return the message as it is sent to a channel or queue."""
        return MARK + self.sign(channel, message).encode() + message if self.is_strict else message

    def unwrap(self, channel: str, message: bytes) -> bytes | None:
        """Return the message received from a channel, or None if no process of this deployment signed it for there."""
        if not message.startswith(MARK):
            return None if self.is_strict else message
        signature, bare = message[len(MARK) : _LENGTH].decode("latin-1"), message[_LENGTH:]
        return bare if not self.is_strict or self.verify(channel, bare, signature) else None

    def sign(self, channel: str, message: bytes) -> str:
        """Return the signature of a message: 64 hexadecimal digits."""
        return _sign(self._secrets[0], channel, message)

    def verify(self, channel: str, message: bytes, signature: str) -> bool:
        """Return whether a signature is of this message in this channel, by the current or the previous key."""
        if not signature.isascii():
            return False
        return any(hmac.compare_digest(_sign(secret, channel, message), signature) for secret in self._secrets)

    @cached_property
    def _secrets(self) -> list[bytes]:
        keys = self._keys.by_id.values()
        return [hmac.digest(key.encode(), b"swallowtail messages", hashlib.sha256) for key in keys]


def _sign(secret: bytes, channel: str, message: bytes) -> str:
    return hmac.new(secret, channel.encode() + b"\0" + message, hashlib.sha256).hexdigest()


def wakeup(task_id: str, attempt: int, name: str, limits: Sequence[float | None]) -> bytes:
    """Return the signed content of a wake-up message: everything that a worker acts on.

    `name` is the id of the message, for revoking it; `limits` are the hard and the soft time limit, in seconds.
    """
    return orjson.dumps([task_id, attempt, name, *limits])
